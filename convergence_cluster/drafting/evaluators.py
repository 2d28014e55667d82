"""The evaluator that is written beside a study: short, and meant to be changed."""

_TEXT = '''"""How answers are scored: 1 is perfect, 0 is useless. Change it freely."""

PATH = {path}  # the keys on the way to the result; of a list, the first item that has it counts


def score_response(result, expected, params, metric=None):
    """Return 1 if what is expected is in the answer, whatever the case; with nothing expected, 1 for any answer.

    `result` is the whole response body, `expected` the test case's own value, `params` the configuration.
    """
    found = result_of(result)
    if expected is None:
        return 0.0 if found in (None, "", [], {{}}) else 1.0
    if isinstance(expected, str):
        return 1.0 if expected.casefold() in str(found).casefold() else 0.0
    return 1.0 if found == expected else 0.0


def result_of(body, path=PATH):
    """Return what stands at PATH, or None."""
    if isinstance(body, list) and path:
        return next((found for item in body if (found := result_of(item, path)) is not None), None)
    if not path:
        return body
    return result_of(body.get(path[0]), path[1:]) if isinstance(body, dict) else None
'''


def evaluator_text(path: tuple[str, ...]) -> str:
    """Return the evaluator of an API whose results stand at a path of keys."""
    return _TEXT.format(path=repr(path).replace("'", '"'))

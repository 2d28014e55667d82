"""Serves SMAC3's ask and tell by lines of JSON on standard input and output. Runs in the environment beside it."""

import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer  # type: ignore[import-not-found]  # own environment
from smac import AlgorithmConfigurationFacade, Scenario
from smac.runhistory.dataclasses import TrialValue


def main() -> None:
    """Read the problem, then answer until the input ends."""
    problem = json.loads(sys.stdin.readline())
    _say({})
    with tempfile.TemporaryDirectory() as folder:
        smac = _facade(problem, Path(folder))
        asked = None
        for line in sys.stdin:
            message = json.loads(line)
            if "ask" in message:
                asked = smac.ask()
                _say({"configuration": _decoded(problem, asked.config), "item": int(asked.instance)})
            else:
                smac.tell(asked, TrialValue(cost=1 - message["tell"], time=0.1))
                incumbent = smac.intensifier.get_incumbent()
                _say({"incumbent": None if incumbent is None else _decoded(problem, incumbent)})


def _facade(problem: dict[str, Any], folder: Path) -> Any:
    logging.disable(logging.CRITICAL)
    space = ConfigurationSpace(seed=problem["seed"])
    space.add([_hyperparameter(parameter) for parameter in problem["parameters"]])
    scenario = Scenario(
        space,
        deterministic=True,
        instances=[str(item) for item in range(problem["n_items"])],
        n_trials=problem["n_calls"],
        seed=problem["seed"],
        output_directory=folder,
    )
    return AlgorithmConfigurationFacade(scenario, _never_called, overwrite=True, logging_level=False)


def _never_called(config: Any, instance: str, seed: int = 0) -> float:
    raise RuntimeError((config, instance, seed))


def _hyperparameter(parameter: dict[str, Any]) -> Any:
    name = parameter["name"]
    if parameter["kind"] == "categorical":
        return Categorical(name, list(range(len(parameter["values"]))))
    if parameter["kind"] == "ordinal":
        return Integer(name, (0, max(1, len(parameter["values"]) - 1)))
    bounds = (parameter["low"], parameter["high"])
    return Float(name, bounds, log=parameter["log"])


def _decoded(problem: dict[str, Any], config: Any) -> dict[str, Any]:
    decoded = {}
    for parameter in problem["parameters"]:
        value = config[parameter["name"]]
        if parameter["kind"] in {"categorical", "ordinal"}:
            value = parameter["values"][min(int(value), len(parameter["values"]) - 1)]
        decoded[parameter["name"]] = value
    return decoded


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message | {"cpu_s": time.process_time()}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

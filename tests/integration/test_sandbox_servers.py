"""The sandbox servers as processes, spoken to over sockets."""

import asyncio
import http.client
import json
import math
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any

import pytest

from convergence_cluster.sandbox.codecs import GRID as CODEC_GRID
from convergence_cluster.sandbox.landscapes import Landscape, landscape

CHAT = "/v1/chat/completions"


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Message
    content: bytes
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    process: subprocess.Popen[str]
    ready: dict[str, Any]

    def send(self, method: str, path: str, body: object = None, key: str | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.ready["port"], timeout=20)
        started_s = time.perf_counter()
        try:
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, path, content, {} if key is None else {"Idempotency-Key": key})
            response = connection.getresponse()
            read = response.read()
            return Answer(
                status=response.status, headers=response.headers, content=read, seconds=time.perf_counter() - started_s
            )
        finally:
            connection.close()

    def chat(self, body: object, key: str | None = None) -> Answer:
        return self.send("POST", CHAT, body, key)

    def faults(self, **switches: object) -> None:
        assert self.send("POST", "/_sandbox/faults", switches).status == 200

    def stats(self) -> Any:
        return self.send("GET", "/_sandbox/stats").json


Start = Callable[..., Sandbox]


@contextmanager
def started(*arguments: str) -> Iterator[Sandbox]:
    command = [sys.executable, "-m", "convergence_cluster.sandbox.serve", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Sandbox(process=process, ready=json.loads(process.stdout.readline()))
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="module")
def quick() -> Iterator[Sandbox]:
    with started("llm", "--seed", "7", "--speed", "1000") as sandbox:
        yield sandbox


@pytest.fixture
def calm(quick: Sandbox) -> Iterator[Sandbox]:
    """The shared server with its books closed and no fault on."""
    quick.send("POST", "/_sandbox/reset")
    yield quick
    switches = quick.send("GET", "/_sandbox/faults").json
    quick.faults(**{name: 0.0 for name in switches if name not in {"slow_s", "retry_after_s", "infeasible"}})
    quick.faults(infeasible=[])


def chat_body(case: int = 0, name: str = "quickstart", **configuration: object) -> dict[str, Any]:
    chosen = landscape(name)
    given: dict[str, Any] = {"model": "sim-medium"} | configuration
    system = given.pop("system_prompt", None)
    messages = [] if system is None else [{"role": "system", "content": system}]
    return {"messages": [*messages, {"role": "user", "content": chosen.questions[case].prompt}], **given}


def test_it_says_where_it_is_and_that_it_is_a_simulation(calm: Sandbox) -> None:
    answer = calm.send("GET", "/v1/models")

    assert calm.ready["endpoint"] == f"http://127.0.0.1:{calm.ready['port']}{CHAT}"
    assert "SIMULATION" in calm.ready["about"]
    assert "simulation" in answer.headers["server"]
    assert all(model["id"].startswith("sim-") for model in answer.json["data"])


def test_it_listens_on_the_loopback_address_alone(calm: Sandbox) -> None:
    address = socket.gethostbyname(socket.gethostname())
    if address.startswith("127."):
        pytest.skip("this machine has no other address")

    with pytest.raises(OSError, match="refused"):
        socket.create_connection((address, calm.ready["port"]), timeout=2).close()


def test_an_answer_has_the_shape_of_a_chat_completion(calm: Sandbox) -> None:
    answer = calm.chat(chat_body(1, temperature=0.2, system_prompt="Think step by step."), "study:0:1:0").json

    assert answer["object"] == "chat.completion"
    assert answer["model"] == "sim-medium"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert "The answer is" in answer["choices"][0]["message"]["content"]
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 50 < usage["completion_tokens"] < 500


def test_the_same_seed_key_and_body_give_the_same_answer_whatever_the_process(calm: Sandbox) -> None:
    bodies = [(chat_body(case, temperature=1.0), f"s:{case}:{repeat}") for case in range(8) for repeat in range(2)]
    first = [calm.chat(body, key).content for body, key in bodies]

    with started("llm", "--seed", "7", "--speed", "1000") as other:
        again = [other.chat(body, key).content for body, key in reversed(bodies)]
    with started("llm", "--seed", "8", "--speed", "1000") as other:
        differently_seeded = [other.chat(body, key).content for body, key in bodies]

    assert first == again[::-1]
    assert first != differently_seeded


def test_without_a_key_each_answer_is_a_new_draw(calm: Sandbox) -> None:
    with_keys = [calm.chat(chat_body(temperature=0.8), f"k:{repeat}").content for repeat in range(6)]
    without = [calm.chat(chat_body(temperature=0.8)).content for _ in range(6)]

    assert without == with_keys
    assert len(set(without)) > 1


@pytest.mark.parametrize("name", ["predecessor", "wide"])
def test_grades_over_http_are_the_draws_of_the_landscape_and_average_to_the_truth(name: str) -> None:
    chosen = landscape(name)
    configuration = list(chosen.configurations())[123]
    with started("llm", "--landscape", name, "--seed", "3", "--latency-ms", "0") as sandbox:
        grades = [_grades(sandbox, chosen, configuration, repeat) for repeat in range(25)]

    flat = [grade for row in grades for grade in row]
    drawn = [chosen.draw(configuration, case, 4, 3) for case in range(chosen.n_cases)]
    error = 0.05 / math.sqrt(len(flat))
    assert grades[4] == pytest.approx(drawn, abs=1e-6)
    assert sum(flat) / len(flat) == pytest.approx(chosen.true_score(configuration), abs=4.5 * error)


def _grades(sandbox: Sandbox, chosen: Landscape, configuration: dict[str, Any], repeat: int) -> list[float]:
    cases = range(chosen.n_cases)
    answers = [sandbox.chat(chat_body(case, chosen.name, **configuration), f"g:{case}:{repeat}") for case in cases]
    grades = [float(answer.json["x_quality"]) for answer in answers]
    texts = [answer.json["choices"][0]["message"]["content"] for answer in answers]
    assert texts == [f"score {grade:.6f}" for grade in grades]
    return grades


def test_right_answers_come_as_often_as_the_truth_says(calm: Sandbox) -> None:
    chosen = landscape("quickstart")
    configuration: dict[str, Any] = {
        "model": "sim-small",
        "system_prompt": "plain",
        "max_tokens": 640,
        "temperature": 0.6,
    }
    n_repeats = 12

    def is_right(case: int, repeat: int) -> bool:
        answer = calm.chat(chat_body(case, **configuration), f"r:{case}:{repeat}").json
        return chosen.questions[case].expected in answer["choices"][0]["message"]["content"]

    right = [is_right(case, repeat) for case in range(chosen.n_cases) for repeat in range(n_repeats)]

    error = 0.5 / math.sqrt(len(right))
    assert sum(right) / len(right) == pytest.approx(chosen.truth(configuration).quality, abs=4.0 * error)


def test_a_limit_cuts_an_answer_and_says_so(calm: Sandbox) -> None:
    answer = calm.chat(chat_body(system_prompt="step by step", max_tokens=32)).json

    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 32


def test_a_question_that_is_part_of_a_longer_message_is_recognised(calm: Sandbox) -> None:
    body = chat_body(3, temperature=0.0)
    body["messages"][0]["content"] = f"Please answer this.\n\n{body['messages'][0]['content']}\nThank you."

    assert "simulation" not in calm.chat(body).json["choices"][0]["message"]["content"]


def test_a_question_that_nobody_knows_is_answered_as_such(calm: Sandbox) -> None:
    body = {"model": "sim-small", "messages": [{"role": "user", "content": "Who are you?"}]}

    assert "only knows the questions" in calm.chat(body).json["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (chat_body(model="sim-reasoner", temperature=0.5), 400, "temperature"),
        (chat_body(reasoning_effort="low"), 400, "reasoning_effort"),
        (chat_body(model="gpt-9"), 404, "model"),
        (chat_body(unheard_of=1), 400, "unheard_of"),
    ],
)
def test_what_a_model_does_not_accept_is_named(calm: Sandbox, body: dict[str, Any], status: int, param: str) -> None:
    answer = calm.chat(body)

    assert (answer.status, answer.json["error"]["param"]) == (status, param)


def test_switched_off_parameters_are_infeasible(calm: Sandbox) -> None:
    calm.faults(infeasible=["max_tokens"])

    assert calm.chat(chat_body(max_tokens=64)).json["error"]["param"] == "max_tokens"
    assert calm.chat(chat_body()).status == 200


@pytest.mark.parametrize(
    ("fault", "status"),
    [("rate_limited", 429), ("overloaded", 503), ("server_error", 500), ("no_money", 429), ("unauthorized", 401)],
)
def test_a_refusing_fault_has_its_status(calm: Sandbox, fault: str, status: int) -> None:
    calm.faults(**{fault: 1.0}, retry_after_s=0.25)

    answer = calm.chat(chat_body())

    assert answer.status == status
    assert answer.headers["retry-after"] == ("0.25" if fault == "rate_limited" else None)
    assert (answer.json["error"]["code"] == "insufficient_quota") == (fault == "no_money")


def test_a_cut_answer_ends_in_the_middle_of_its_body(calm: Sandbox) -> None:
    calm.faults(cut=1.0)

    with pytest.raises(http.client.IncompleteRead) as caught:
        calm.chat(chat_body())

    assert len(caught.value.partial) > 0


def test_a_malformed_answer_is_whole_but_no_json(calm: Sandbox) -> None:
    calm.faults(malformed=1.0)

    answer = calm.chat(chat_body())

    assert answer.status == 200
    with pytest.raises(json.JSONDecodeError):
        _ = answer.json


def test_a_refused_answer_has_no_content(calm: Sandbox) -> None:
    calm.faults(refused=1.0)

    message = calm.chat(chat_body()).json["choices"][0]["message"]

    assert message["content"] is None
    assert "cannot help" in message["refusal"]


def test_a_slow_answer_takes_longer(calm: Sandbox) -> None:
    calm.faults(slow=1.0, slow_s=0.3)

    assert calm.chat(chat_body()).seconds > 0.3


def test_faults_come_in_their_share_and_differ_between_attempts(calm: Sandbox) -> None:
    calm.faults(server_error=0.3)

    statuses = [calm.chat(chat_body(case % 32), f"f:{case % 32}:{case // 32}").status for case in range(320)]
    again = [calm.chat(chat_body(0), "same:0").status for _ in range(40)]

    assert statuses.count(500) / 320 == pytest.approx(0.3, abs=0.11)
    assert set(again) == {200, 500}


def test_faster_than_the_limit_is_told_when_to_come_back(calm: Sandbox) -> None:
    calm.faults(requests_per_s=4)

    answers = [calm.chat(chat_body()) for _ in range(8)]
    refused = [answer for answer in answers if answer.status == 429]
    time.sleep(float(refused[-1].headers["retry-after"]))

    assert [answer.status for answer in answers[:4]] == [200] * 4
    assert len(refused) >= 3
    assert all(0 < float(answer.headers["retry-after"]) <= 0.25 for answer in refused)
    assert calm.chat(chat_body()).status == 200


def test_a_call_succeeds_after_its_first_attempts_failed(calm: Sandbox) -> None:
    calm.faults(overloaded=1.0, first_attempts=2)

    assert [calm.chat(chat_body(), "call:0").status for _ in range(3)] == [503, 503, 200]


def test_impossible_faults_are_refused_and_change_nothing(calm: Sandbox) -> None:
    assert calm.send("POST", "/_sandbox/faults", {"cut": 2}).status == 400
    assert calm.send("GET", "/_sandbox/faults").json["cut"] == 0.0


def test_faults_of_the_command_line_hold_from_the_start() -> None:
    with started("llm", "--rate-limited", "1", "--retry-after-s", "3") as sandbox:
        answer = sandbox.chat(chat_body())

    assert (answer.status, answer.headers["retry-after"]) == (429, "3")


def test_the_books_show_attempts_by_key_money_and_the_most_in_flight() -> None:
    with started("llm", "--latency-ms", "150") as sandbox:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda number: sandbox.chat(chat_body(), f"call-{number % 5}:0"), range(6)))
        stats = sandbox.stats()

    assert stats["hits"] == {"call-0:0": 2, "call-1:0": 1, "call-2:0": 1, "call-3:0": 1, "call-4:0": 1}
    assert (stats["requests"], stats["repeated_keys"], stats["statuses"]) == (6, 1, {"200": 6})
    assert (stats["in_flight"], stats["in_flight_max"]) == (0, 6)
    assert all(150 <= ms < 400 for times in stats["server_ms"].values() for ms in times)
    assert stats["usd"] > 0


def test_a_client_that_gives_up_is_counted_and_leaves_nothing_in_flight() -> None:
    with started("llm", "--latency-ms", "5000") as sandbox:
        body = json.dumps(chat_body()).encode()
        with socket.create_connection(("127.0.0.1", sandbox.ready["port"]), timeout=5) as client:
            client.sendall(f"POST {CHAT} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            _until(lambda: sandbox.stats()["in_flight"] == 1)
        _until(lambda: sandbox.stats()["in_flight"] == 0)

        assert sandbox.stats()["statuses"] == {"499": 1}


def _until(is_true: Callable[[], bool], limit_s: float = 5.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not is_true():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_requests_of_one_connection_are_answered_in_their_order(calm: Sandbox) -> None:
    bodies = [json.dumps(chat_body(case)).encode() for case in range(3)]
    sent = b"".join(
        f"POST {CHAT} HTTP/1.1\r\nIdempotency-Key: p{number}:0\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        for number, body in enumerate(bodies)
    )
    with socket.create_connection(("127.0.0.1", calm.ready["port"]), timeout=5) as client:
        client.sendall(sent[:200])
        time.sleep(0.05)
        client.sendall(sent[200:] + b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: client.recv(65536), b""))

    positions = [received.find(f"x-request-id: req-p{number}:0".encode()) for number in range(3)]
    assert -1 < positions[0] < positions[1] < positions[2] < received.find(b'"object": "list"')


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"nonsense\r\n\r\n", b" 400 "),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b" 411 "),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b" 413 "),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000, b" 431 "),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_closed(calm: Sandbox, head: bytes, status: bytes) -> None:
    with socket.create_connection(("127.0.0.1", calm.ready["port"]), timeout=5) as client:
        client.sendall(head)
        received = b"".join(iter(lambda: client.recv(65536), b""))

    assert status in received.split(b"\r\n")[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["llm", "compress"])
def test_a_signal_stops_it_cleanly(name: str, number: signal.Signals) -> None:
    with started(name) as sandbox:
        sandbox.process.send_signal(number)

        assert sandbox.process.wait(10) == 0


def test_it_stops_with_whoever_started_it() -> None:
    with started("llm", "--until-eof") as sandbox:
        assert sandbox.chat(chat_body()).status == 200
        assert sandbox.process.stdin is not None
        sandbox.process.stdin.close()

        assert sandbox.process.wait(10) == 0


def test_a_taken_port_is_one_line_of_error(calm: Sandbox) -> None:
    command = [sys.executable, "-m", "convergence_cluster.sandbox.serve", "llm", "--port", str(calm.ready["port"])]

    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert str(calm.ready["port"]) in done.stderr


def test_the_truth_is_printed_with_the_optimum_first() -> None:
    command = [sys.executable, "-m", "convergence_cluster.sandbox.serve", "llm", "--truth", "--speed", "10"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert "SIMULATION, landscape quickstart: 252 configurations, 32 test cases" in done.stdout
    assert "  1  0.8067   0.9674       135.3" in done.stdout


def test_an_endpoint_of_a_study_starts_the_server_that_it_names() -> None:
    with started("sandbox://llm/v1/chat/completions?landscape=predecessor&latency_ms=1&seed=4") as sandbox:
        assert sandbox.ready["endpoint"] == f"{sandbox.ready['url']}{CHAT}"
        assert (sandbox.ready["landscape"], sandbox.ready["seed"]) == ("predecessor", 4)


@pytest.mark.alone
def test_a_request_costs_less_than_a_quarter_of_a_millisecond_of_cpu() -> None:
    n_requests, n_connections, cpu_s = 4000, 50, list[float]()
    with started("llm", "--latency-ms", "5") as sandbox:
        for _ in range(3):
            asyncio.run(_load(sandbox.ready["port"], n_requests, n_connections))
            stats = sandbox.send("GET", "/_sandbox/stats?keys=0").json
            cpu_s.append(stats["cpu_s"] - sum(cpu_s))

    assert stats["statuses"] == {"200": 3 * n_requests}
    assert stats["in_flight_max"] <= n_connections
    assert 1000.0 * min(cpu_s) / n_requests < 0.25


async def _load(port: int, n_requests: int, n_connections: int) -> None:
    numbers = iter(range(n_requests))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            body = json.dumps(chat_body(number % 32, temperature=0.2, system_prompt="Think step by step.")).encode()
            head = f"POST {CHAT} HTTP/1.1\r\nIdempotency-Key: load:{number}:0\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(answer.split(b"content-length: ")[1].split(b"\r\n")[0]))
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(client() for _ in range(n_connections)))


@pytest.fixture(scope="module")
def codecs() -> Iterator[Sandbox]:
    with started("compress") as sandbox:
        yield sandbox


@pytest.mark.parametrize("codec", CODEC_GRID["codec"])
def test_every_file_comes_back_as_it_was(codecs: Sandbox, codec: str) -> None:
    for file in codecs.send("GET", "/files").json["files"]:
        done = codecs.send("POST", "/compress", {"codec": codec, "level": 2, "file": file["name"]}).json

        assert done["verified"] is True
        assert done["size_in"] == file["size"]
        assert done["ratio"] == pytest.approx(done["size_in"] / done["size_out"], rel=1e-5)
        assert done["saved"] == pytest.approx(1 - done["size_out"] / done["size_in"], abs=1e-5)
        assert 0 < done["seconds"] < 5


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"codec": "bz2", "window": 15, "file": "prose"}, "window"),
        ({"codec": "zlib", "file": "/etc/passwd"}, "file"),
        ({"codec": "tar", "file": "prose"}, "codec"),
        ([], None),
    ],
)
def test_impossible_compression_names_the_parameter(codecs: Sandbox, body: object, param: str | None) -> None:
    answer = codecs.send("POST", "/compress", body)

    assert (answer.status, answer.json["error"]["param"]) == (400, param)


def test_work_in_progress_does_not_hold_up_other_answers(codecs: Sandbox) -> None:
    heavy = {"codec": "lzma", "level": 9, "extreme": True, "file": "prose"}
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(codecs.send, "POST", "/compress", heavy) for _ in range(2)]
        _until(lambda: codecs.stats()["in_flight"] >= 1)
        light = codecs.send("GET", "/files")

        assert light.seconds < min(job.result().seconds for job in running)

"""The client of speech servers against a real server that does everything wrong."""

import subprocess
from dataclasses import dataclass, field

import pytest

from daemon.errors import BadInput, Postponed
from daemon.handlers.grants import Grants, looked_up
from daemon.handlers.speech.client import Clock, Limits, SpeechClient
from tests.support.speech_server import serving, tone
from tests.support.surroundings import needs

KEY = "sk-the-secret-of-this-test"
ONCE = Limits(connect_s=5.0, whole_s=30.0, tries_s=(0.0,))
HURRIED = Limits(connect_s=5.0, whole_s=0.6, tries_s=(0.0,))


@dataclass
class Waits:
    """A clock on which waiting takes no time."""

    waited_s: list[float] = field(default_factory=list)

    def clock(self) -> Clock:
        return Clock(sleep=self.waited_s.append, wall_s=lambda: 1_000_000.0)


def say(client):
    return client.speech("Good morning.", "anna", "tts-1", 1.0)


def test_speech_comes_back_as_the_server_sent_it(tmp_path):
    """The bytes are the server's; the key went in the header, once."""
    with serving(tmp_path) as server:
        sound = say(SpeechClient(server.url, KEY, ONCE))
        asked = server.journal()

    assert tone(0.05 * len("Good morning.")) == sound
    assert [(1, f"Bearer {KEY}")] == [(one["at_once"], one["authorization"]) for one in asked]


def test_voices_and_chat_and_segments_are_read(tmp_path):
    """The other calls give values, not documents."""
    answer = {
        "segments": [{"start": 0.5, "end": 1.5, "text": " Hello there. ", "avg_logprob": 0.0}],
        "words": [{"word": " Hello", "start": 0.5, "end": 0.9}],
    }
    with serving(tmp_path, answer=answer) as server:
        client = SpeechClient(f"{server.url}/v1/", "", ONCE)
        voices, said = client.voices(), client.chat([{"role": "user", "content": "?"}], "m")
        (segment,) = client.transcription(tone(0.1), "en", "names")

    assert (["anna", "bert"], "A summary.") == (voices, said)
    assert (0.5, 1.5, "Hello there.", 1.0) == (
        segment.start_s,
        segment.end_s,
        segment.text,
        segment.probability,
    )
    assert ["Hello"] == [word.text for word in segment.words]


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ("close", "SPEECH_UNREACHABLE", "broke"),
        ("reset", "SPEECH_UNREACHABLE", "broke"),
        ("cut short", "SPEECH_BAD_ANSWER", "broke off"),
        ("empty", "SPEECH_BAD_ANSWER", "empty"),
        ("html", "SPEECH_BAD_ANSWER", "Bad gateway"),
        ("wrong type", "SPEECH_BAD_ANSWER", "text/plain"),
        ("json instead", "SPEECH_BAD_ANSWER", "application/json"),
        ("huge", "SPEECH_BAD_ANSWER", "more than 50 MiB"),
        ("huge unsaid", "SPEECH_BAD_ANSWER", "more than 50 MiB"),
        ("gzip", "SPEECH_BAD_ANSWER", "compressed"),
        ("garbage", "SPEECH_BAD_ANSWER", "no answer in HTTP"),
        ("redirect", "SPEECH_BAD_ANSWER", "another host"),
        ("redirect here", "SPEECH_BAD_ANSWER", "redirected"),
        ("429", "SPEECH_BUSY", "429"),
        ("503", "SPEECH_BUSY", "503"),
        ("500", "SPEECH_BAD_ANSWER", "500"),
        ("401", "SPEECH_REFUSED_KEY", "401"),
        ("403", "SPEECH_REFUSED_KEY", "403"),
        ("404", "SPEECH_NO_ENGINE", "404"),
    ],
)
def test_fault_of_the_server_is_postponed_with_its_code(tmp_path, fault, code, words):
    """Whatever a server does, the job is told what happened, and pays nothing for it."""
    with (
        serving(tmp_path, fault, repeat=True, elsewhere="http://127.0.0.2:9/v1") as server,
        pytest.raises(Postponed) as raised,
    ):
        say(SpeechClient(server.url, KEY, ONCE))

    assert code == raised.value.code
    assert words in raised.value.message
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("fault", ["hang", "hang after headers", "slow headers", "slow body"])
def test_server_that_hangs_or_drips_is_left_when_time_is_over(tmp_path, fault):
    """The limit is for the whole: bytes that come one by one do not put it off."""
    with serving(tmp_path, fault) as server, pytest.raises(Postponed) as raised:
        say(SpeechClient(server.url, "", HURRIED))

    assert "SPEECH_TIMED_OUT" == raised.value.code
    assert "within 0.6 s" in raised.value.message


@pytest.mark.parametrize("status", [400, 413, 422])
def test_refusal_of_the_text_is_the_drops_fault_in_the_servers_words(tmp_path, status):
    """It is not tried again, and the key that the server repeats is not quoted."""
    waits = Waits()
    with serving(tmp_path, str(status), repeat=True) as server, pytest.raises(BadInput) as raised:
        say(SpeechClient(server.url, KEY, Limits(), clock=waits.clock()))

    assert ("TEXT_REFUSED", []) == (raised.value.code, waits.waited_s)
    assert f"refused with {status}, said Bearer [key]" in raised.value.message


def test_what_may_pass_is_tried_again_at_2_8_and_30_s(tmp_path):
    """The fourth try is good; each wait is the contract's."""
    waits = Waits()
    with serving(tmp_path, "500", "reset", "empty") as server:
        client = SpeechClient(server.url, KEY, Limits(), clock=waits.clock())
        assert say(client).startswith(b"RIFF")
        assert 4 == len(server.journal()) == client.tried

    assert [2.0, 8.0, 30.0] == waits.waited_s


def test_after_four_tries_the_job_is_postponed(tmp_path):
    """No fifth request is made."""
    waits = Waits()
    with serving(tmp_path, "500", repeat=True) as server:
        with pytest.raises(Postponed):
            say(SpeechClient(server.url, "", Limits(), clock=waits.clock()))
        assert 4 == len(server.journal())


def test_retry_after_is_obeyed_when_it_is_longer(tmp_path):
    """In seconds; without the header the usual wait holds."""
    waits = Waits()
    with serving(tmp_path, "429 after 17", "429", "429 after 3") as server:
        say(SpeechClient(server.url, "", Limits(), clock=waits.clock()))

    assert [17.0, 8.0, 30.0] == waits.waited_s


def test_long_retry_after_gives_the_worker_back(tmp_path):
    """An hour is waited for in the queue."""
    waits = Waits()
    with serving(tmp_path, "429 after 3600") as server, pytest.raises(Postponed) as raised:
        say(SpeechClient(server.url, "", Limits(), clock=waits.clock()))

    assert ("SPEECH_BUSY", []) == (raised.value.code, waits.waited_s)


def test_refused_key_is_not_tried_again(tmp_path):
    """A key does not get better by waiting 30 s."""
    waits = Waits()
    with serving(tmp_path, "401", repeat=True) as server:
        with pytest.raises(Postponed):
            say(SpeechClient(server.url, KEY, Limits(), clock=waits.clock()))
        assert 1 == len(server.journal())


def test_server_that_is_not_there_is_unreachable(tmp_path):
    """A port on which nobody listens."""
    with serving(tmp_path) as server:
        url = server.url
    with pytest.raises(Postponed) as raised:
        say(SpeechClient(url, "", ONCE))

    assert "SPEECH_UNREACHABLE" == raised.value.code


def test_host_that_is_not_granted_is_not_asked(tmp_path):
    """The error holds the line to add, and no request was made."""
    with serving(tmp_path) as server:
        with pytest.raises(Postponed) as raised:
            say(SpeechClient(server.url, "", ONCE, grants=Grants()))
        assert [] == server.journal()

    assert "SPEECH_NOT_GRANTED" == raised.value.code
    assert f'allow: {{network: ["127.0.0.1:{server.port}"]}}' in raised.value.hint


def test_granted_host_is_asked_where_it_was_found_before(tmp_path):
    """A confined worker looks no name up: the address comes with the grant."""
    with serving(tmp_path) as server:
        where = looked_up("127.0.0.1", server.port)
        grants = Grants(network={f"speech.invalid:{server.port}": where})
        url = f"http://speech.invalid:{server.port}"
        assert say(SpeechClient(url, "", ONCE, grants=grants)).startswith(b"RIFF")


@needs("openssl", debian="openssl")
@pytest.mark.parametrize(("name", "good"), [("127.0.0.1", True), ("wrong.example", False)])
def test_certificate_must_have_the_servers_name(tmp_path, name, good):
    """One for another host is refused before anything is sent."""
    kind = "IP" if good else "DNS"
    asked = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x -keyout key.pem -out cert.pem"
    named = ["-addext", f"subjectAltName={kind}:{name}"]
    command = ["openssl", *asked.split(), *named]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    with serving(tmp_path, tls=True) as server:
        url = f"https://127.0.0.1:{server.port}"
        client = SpeechClient(url, KEY, ONCE, ca_file=str(tmp_path / "cert.pem"))
        if good:
            assert say(client).startswith(b"RIFF")
            return
        with pytest.raises(Postponed) as raised:
            say(client)
        assert [] == server.journal()

    assert "SPEECH_UNREACHABLE" == raised.value.code
    assert "certificate" in raised.value.message

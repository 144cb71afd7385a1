# SPDX-License-Identifier: GPL-2.0-only
"""``harness hosts check`` against real SSH servers, and some that only pretend to be one."""

import contextlib
import json
import os
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

import paramiko
import pytest

from harness.cli import main
from harness.errors import Failure
from harness.ssh import SSHTimeouts
from tests.support.sshd import keygen

pytestmark = pytest.mark.ssh


@pytest.fixture
def check(lab, capfd, monkeypatch):
    """Runs the command; answers its exit status and what it found, by host."""
    quick = SSHTimeouts(connect_s=3, banner_s=1.5, login_s=3, command_s=6)
    monkeypatch.setattr("harness.ssh.SSHTimeouts", lambda: quick)

    def run(*words):
        status = main(["hosts", "check", "--hosts", str(lab.file), "--json", *words])
        shown = capfd.readouterr()
        assert "Traceback" not in shown.err, shown.err
        return status, {one["host"]: one for one in json.loads(shown.out)}

    return run


@pytest.fixture
def pretend():
    """Starts what is no SSH server: `serve` gets each connection; answers the port."""
    with contextlib.ExitStack() as stack:

        def start(serve):
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def accept():
                with contextlib.suppress(OSError):
                    while True:
                        link, _ = server.accept()
                        threading.Thread(target=serve, args=[link], daemon=True).start()

            threading.Thread(target=accept, daemon=True).start()
            return server.getsockname()[1]

        yield start


def failures(found):
    return {name: one["failure"] for name, one in found.items()}


def test_a_good_host_is_fit_and_its_facts_are_told(lab, check, capfd):
    lab.serve("good")
    status, found = check()
    good = found["good"]
    assert (status, good["fit"], good["failure"]) == (0, True, None), good
    assert good["survey"]["cpus"] == len(os.sched_getaffinity(0))
    assert good["survey"]["host"] == socket.gethostname()
    assert main(["hosts", "check", "--hosts", str(lab.file)]) == 0
    table = capfd.readouterr().out
    assert "good" in table and "fit" in table and "qemu" in table


def test_a_host_that_lends_more_than_it_has_is_not_fit(lab, check):
    lab.serve("vain", memory="900TiB", cores=60000)
    status, found = check()
    bad = {c["name"]: c["remedy"] for c in found["vain"]["checks"] if not c["ok"]}
    assert (status, set(bad)) == (1, {"memory", "cores"})
    assert "900TiB" in bad["memory"]


def test_a_host_without_python_is_told_so(lab, check):
    lab.serve("bare", f"SetEnv PATH={lab.folder}\n")
    config = lab.servers["bare"].folder / "sshd_config"
    config.write_text(config.read_text().replace("SetEnv HOME", "#"))
    lab.servers["bare"].stop()
    lab.servers["bare"].start()
    status, found = check()
    assert (status, found["bare"]["failure"]) == (1, Failure.COMMAND)
    assert found["bare"]["checks"][0]["detail"] == "has no python3"


def test_an_unknown_key_is_refused_until_it_is_accepted(lab, check):
    server = lab.serve("new", known=False)
    status, found = check()
    (said,) = found["new"]["checks"]
    assert (status, found["new"]["failure"]) == (1, Failure.UNKNOWN_KEY)
    assert "SHA256:" in said["detail"] and "--accept-new" in said["remedy"]
    assert not lab.known.exists()
    assert "Accepted publickey" not in server.log

    assert check("--accept-new")[0] == 0
    assert lab.known.read_text() == server.known
    assert stat.S_IMODE(lab.known.stat().st_mode) == 0o600
    assert check()[0] == 0


@pytest.mark.parametrize("words", [(), ("--accept-new",)])
def test_a_changed_key_is_always_refused(lab, check, words):
    server = lab.serve("moved", known=False)
    other = keygen(lab.folder / "other").with_suffix(".pub").read_text().split()
    lab.know(f"[127.0.0.1]:{server.port} {other[0]} {other[1]}\n")
    before = lab.known.read_bytes()
    status, found = check(*words)
    assert (status, found["moved"]["failure"]) == (1, Failure.CHANGED_KEY)
    assert "ssh-keygen" in found["moved"]["checks"][0]["remedy"]
    assert lab.known.read_bytes() == before
    assert "Accepted publickey" not in server.log


def test_a_key_of_another_kind_is_a_changed_key(lab, check):
    """The server has no key of the kind that is on file: taking another would be trust for all."""
    server = lab.serve("moved", known=False)
    keygen(lab.folder / "rsa", "-t", "rsa", "-b", "2048")
    kind, key, *_ = (lab.folder / "rsa.pub").read_text().split()
    lab.know(f"[127.0.0.1]:{server.port} {kind} {key}\n")
    assert failures(check("--accept-new")[1]) == {"moved": Failure.CHANGED_KEY}


@pytest.mark.parametrize("words", [(), ("--accept-new",)])
def test_a_revoked_key_is_always_refused(lab, check, words):
    server = lab.serve("leaked")
    _, kind, key = server.known.split()
    lab.know(f"@revoked * {kind} {key}\n")
    status, found = check(*words)
    assert (status, found["leaked"]["failure"]) == (1, Failure.REVOKED_KEY)


def test_a_torn_or_spoilt_file_of_known_hosts_is_read_and_mended(lab, check):
    lab.know("nonsense\n|1|x ssh-ed25519 ====\nhost ssh-ed25519 AAAA\n\x00\nno newline at the end")
    server = lab.serve("new", known=False)
    assert check("--accept-new")[0] == 0
    assert lab.known.read_text().endswith(f"no newline at the end\n{server.known}")
    assert check()[0] == 0


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_torn_line_is_not_blamed_on_the_host(lab, check, part):
    server = lab.serve("new", known=False)
    line = server.known.strip()
    lab.know("# mine\n" + line[: len(line) - int((1 - part) * len(line.split()[-1]))] + "\n")
    for words in ((), ("--accept-new",)):
        status, found = check(*words)
        (said,) = found["new"]["checks"]
        assert (status, found["new"]["failure"]) == (1, Failure.UNKNOWN_KEY)
        assert f"line 2 of {lab.known}" in said["detail"] and "damaged" in said["detail"]


def test_a_key_that_the_host_does_not_know_is_refused_without_a_question(lab, check):
    lab.serve("shut", key_file=str(keygen(lab.folder / "stranger")))
    status, found = check()
    (said,) = found["shut"]["checks"]
    assert (status, found["shut"]["failure"]) == (1, Failure.LOGIN)
    assert "1 keys were refused" in said["detail"] and "authorized_keys" in said["remedy"]


@pytest.mark.parametrize("kind", ["open", "locked", "missing", "no key"])
def test_a_key_file_that_cannot_be_used_is_named(lab, check, kind):
    path = keygen(lab.folder / "other", *(["-N", "words"] if kind == "locked" else []))
    if kind == "open":
        path.chmod(0o644)
    if kind == "missing":
        path.unlink()
    if kind == "no key":
        path.write_text("hello")
    lab.serve("shut", key_file=str(path))
    found = check()[1]["shut"]
    words = {"open": "chmod 600", "locked": "passphrase", "missing": "No such file"}
    assert found["failure"] == Failure.LOGIN
    assert str(path) in found["checks"][0]["detail"]
    assert words.get(kind, "no private key") in found["checks"][0]["detail"]


def test_keys_of_an_agent_are_used(lab, check, monkeypatch):
    lab.serve("good", key_file=None)
    assert failures(check()[1]) == {"good": Failure.LOGIN}
    path = str(lab.folder / "agent")
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL) as agent:
        while not Path(path).exists():
            time.sleep(0.01)
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        subprocess.run(["ssh-add", "-q", lab.key], check=True)
        assert check()[0] == 0
        agent.terminate()


def test_a_way_through_another_host(lab, check):
    gate = lab.serve("gate")
    inner = lab.serve("inner", jump="gate")
    lab.serve("innermost", jump="inner")
    status, found = check("innermost")
    assert (status, list(found)) == (0, ["innermost"]), found
    assert "Accepted publickey" in gate.log and "Accepted publickey" in inner.log
    gate.stop()
    status, found = check("inner")
    assert failures(found) == {"inner": Failure.UNREACHABLE}
    assert found["inner"]["checks"][0]["detail"].startswith("gate: ")


def test_a_host_behind_another_that_is_gone_or_forbidden(lab, check):
    lab.serve("gate")
    lab.serve("inner", jump="gate").stop()
    lab.serve("closed", "AllowTcpForwarding no\n")
    lab.serve("hidden", jump="closed")
    found = failures(check("inner", "hidden")[1])
    assert found == {"inner": Failure.UNREACHABLE, "hidden": Failure.UNREACHABLE}


def test_silent_hosts_hold_up_neither_each_other_nor_a_good_one(lab, check, pretend):
    def says_nothing(link):
        time.sleep(60)

    def drips(link):
        with contextlib.suppress(OSError):
            while True:
                link.sendall(b"x\r\n")
                time.sleep(0.1)

    def greets(link):
        link.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
        time.sleep(60)

    def leaves(link):
        link.close()

    def is_a_web_server(link):
        link.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        link.close()

    serves = [says_nothing] * 20 + [drips, greets, leaves, is_a_web_server]
    for number, serve in enumerate(serves):
        lab.host(f"h{number}", pretend(serve))
    lab.host("nobody", 1)
    lab.host("nameless", 22, address="no-such-host.invalid")
    lab.serve("good")
    start = time.monotonic()
    status, found = check("--accept-new")
    assert time.monotonic() - start < 8
    assert status == 1 and found["good"]["fit"]
    wanted = {f"h{n}": Failure.SILENT for n in range(22)} | {
        "h22": Failure.CLOSED,
        "h23": Failure.CLOSED,
        "nobody": Failure.UNREACHABLE,
        "nameless": Failure.NO_SUCH_NAME,
        "good": None,
    }
    assert failures(found) == wanted
    assert max(found[f"h{n}"]["took_s"] for n in range(22)) < 4


class NeverAnswers(paramiko.ServerInterface):
    """Lets everybody in, takes a command, and says no more."""

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        time.sleep(60)
        return True


def test_a_host_that_takes_a_command_and_never_answers(lab, check, pretend):
    key = paramiko.PKey.from_path(str(keygen(lab.folder / "host")))

    def serve(link):
        server = paramiko.Transport(link)
        server.add_server_key(key)
        server.start_server(server=NeverAnswers())

    port = pretend(serve)
    lab.know(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")
    lab.host("deaf", port)
    start = time.monotonic()
    status, found = check()
    assert time.monotonic() - start < 9
    assert (status, found["deaf"]["failure"]) == (1, Failure.SILENT)
    assert "python3: no end within 6 s" in found["deaf"]["checks"][0]["detail"]


@pytest.mark.parametrize(
    ("command", "failure"),
    [
        ("head -c 100000000 /dev/zero", Failure.TOO_LARGE),
        ("head -c 100000000 /dev/zero >&2", Failure.TOO_LARGE),
        ("yes", Failure.TOO_LARGE),
        ("sleep 60", Failure.SILENT),
        ("kill -9 $PPID", Failure.CLOSED),
        ("true", Failure.BAD_ANSWER),
        ("printf 'pageinit-survey {'", Failure.BAD_ANSWER),
        ("printf 'pageinit-survey [1]'", Failure.BAD_ANSWER),
        ("""python3 -c 'print("pageinit-survey " + 60000 * chr(91))'""", Failure.BAD_ANSWER),
        (r"""printf 'pageinit-survey {"\\u001b]0;x\\u0007": 1}'""", Failure.BAD_ANSWER),
        (r"printf '\033]0;owned\007' >&2; exit 3", Failure.COMMAND),
    ],
)
def test_a_hostile_answer_is_named_and_shows_no_control_character(lab, check, command, failure):
    script = lab.folder / "answer.sh"
    script.write_text(command + "\n")
    lab.serve("evil", f"ForceCommand /bin/sh {script}\n")
    lab.serve("good")
    status, found = check()
    assert (status, found["evil"]["failure"], found["good"]["fit"]) == (1, failure, True), found
    assert all(c.isprintable() for c in found["evil"]["checks"][0]["detail"])


def test_nothing_secret_is_shown(lab, check, capfd):
    """Not the key, not its passphrase: neither in the output nor on file."""
    path = keygen(lab.folder / "other", "-N", "open-sesame")
    lab.serve("shut", key_file=str(path))
    assert main(["hosts", "check", "--hosts", str(lab.file)]) == 1
    shown = capfd.readouterr()
    body = path.read_text().splitlines()[1]
    assert body not in shown.out + shown.err
    assert [p for p in (lab.folder / "own").rglob("*") if p.is_file()] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "no host called 'nowhere'"),
        (["--hosts", "/nowhere/hosts.yaml"], "no such file"),
    ],
)
def test_wrong_use_is_2(lab, capfd, words, said):
    lab.host("one", 22)
    assert main(["hosts", "check", "--hosts", str(lab.file), *words]) == 2
    assert said in capfd.readouterr().err

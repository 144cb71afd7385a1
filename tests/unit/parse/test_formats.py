# SPDX-License-Identifier: GPL-2.0-only
"""One boot, kept in every way that others keep a kernel log."""

import json

import pytest

from harness.parse import dmesg, formats
from harness.parse import outcome as outcomes

SAID = (
    "Linux version 6.1.0 (builder@host) (gcc (Debian 12.2.0) 12.2.0) #1 SMP",
    "Kernel command line: console=ttyS0",
    "BUG: kernel NULL pointer dereference, address: 0000000000000038",
    "Oops: 0000 [#1] PREEMPT SMP NOPTI",
    "Run /init as init process",
)
USEC = (0, 1_000_000, 2_000_000, 3_000_000, 5_123_456)


def each(form):
    """The log with `form` around each line: `n`, `text`, `s` (a stamp), `level`."""
    return "".join(
        form.format(n=n, text=text, s=f"{usec / 1e6:.6f}", stamp=f"[{usec / 1e6:12.6f}]", us=usec)
        for n, (text, usec) in enumerate(zip(SAID, USEC, strict=True))
    )


def entries(**more):
    return [
        {"_TRANSPORT": "kernel", "MESSAGE": text, "_SOURCE_MONOTONIC_TIMESTAMP": str(usec), **more}
        for text, usec in zip(SAID, USEC, strict=True)
    ]


STAMPED = {
    "console": "{stamp} {text}\n",
    "CR LF": "{stamp} {text}\r\n",
    "raw": "<6>{stamp} {text}\n",
    "caller": "{stamp}[    T1] {text}\n",
    "caller, a CPU": "<6>{stamp}[    C0] {text}\n",
    "colours": "\x1b[32m{stamp} \x1b[0m\x1b[33m\x1b[0m{text}\n",
    "decoded": "kern  :info  : {stamp} {text}\n",
    "delta": "[{s:>12} <    0.000123>] {text}\n",
    "/dev/kmsg": "6,{n},{us},-;{text}\n SUBSYSTEM=pci\n DEVICE=+pci:0000:00:01.0\n",
    "/dev/kmsg with a caller": "6,{n},{us},-,caller=T1;{text}\n",
    "netconsole with a release": "6.1.0,6,{n},{us},-,ncfrag=0/70;{text}\n",
    "mail": "> {stamp} {text}\n",
    "mail, twice": ">> | {stamp} {text}\n",
    "pasted": "    {stamp} {text}\n",
    "rsyslog": "Nov 24 05:06:0{n} host kernel: {stamp} {text}\n",
    "rsyslog since 2023": "2026-11-24T05:06:0{n}.123456+00:00 host kernel: {stamp} {text}\n",
    "RFC 5424": '<6>1 2026-11-24T05:06:0{n}.1Z host kernel - - [meta x="1"] {stamp} {text}\n',
    "busybox syslogd": "Nov 24 05:06:0{n} host kern.info kernel: {stamp} {text}\n",
    "OpenWrt": "Tue Nov 24 05:06:0{n} 2026 kern.info kernel: {stamp} {text}\n",
    "short-monotonic": "[{s:>12}] host kernel: {text}\n",
    "short-delta": "[{s:>12} <    0.000123 >] host kernel: {text}\n",
    "Rockchip": "{stamp}  [0:      swapper/0:    1] {text}\n",
    "Samsung": "<6>{stamp} I[0:   kworker/0:1:   35] {text}\n",
    "MediaTek": "{stamp} -(0)[1:swapper/0]{text}\n",
    "Huawei": "[{s:>12}s][pid:1,cpu0,swapper/0]{text}\n",
    "Qualcomm": "{stamp} c0      1 {text}\n",
    "Amlogic": "[{s:>12}@0] {text}\n",
    "LG": "[{s:>12} / 01-01 00:00:00.000] {text}\n",
    "LAVA": "2026-11-24T05:06:0{n}.123456 <6>{stamp} {text}\n",
    "KernelCI": "05:06:0{n}.123456  <6>{stamp} {text}\n",
    "GitLab CI": "2026-11-24T05:06:0{n}.123456Z 00O {stamp} {text}\n",
    "GitHub Actions": "build\tboot\t2026-11-24T05:06:0{n}.1234567Z {stamp} {text}\n",
    "Jenkins": "[2026-11-24T05:06:0{n}.123Z] {stamp} {text}\n",
    "Mesa": "24-11-26 05:06:0{n} R SERIAL> {stamp} {text}\n",
    "minicom": "[2026-11-24 05:06:0{n}] {stamp} {text}\n",
    "tio": "[05:06:0{n}.123] {stamp} {text}\n",
    "grabserial": "[{n}.000001 0.000001] {stamp} {text}\n",
    "ts": "Nov 24 05:06:0{n} {stamp} {text}\n",
    "python's logging": "2026-11-24 05:06:0{n},123 serial.py L0100 DEBUG| {stamp} {text}\n",
    "conserver": "[Tue Nov 24 05:06:0{n} 2026] {stamp} {text}\n",
}
PLAIN = {
    "no stamps": "{text}\n",
    "a level": "<6>{text}\n",
    "dmesg -T": "[Tue Nov 24 05:06:0{n} 2026] {text}\n",
    "dmesg -T, decoded": "kern  :info  : [Tue Nov 24 05:06:0{n} 2026] {text}\n",
    "dmesg iso": "2026-11-24T05:06:0{n},123456+00:00 {text}\n",
    "dmesg reltime": "[  +0.00000{n}] {text}\n",
    "short": "Nov 24 05:06:0{n} host kernel: {text}\n",
    "short-precise": "Nov 24 05:06:0{n}.123456 host kernel: {text}\n",
    "short-iso": "2026-11-24T05:06:0{n}+0000 host kernel: {text}\n",
    "short-iso-precise": "2026-11-24T05:06:0{n}.123456+01:00 host kernel: {text}\n",
    "short-full": "Tue 2026-11-24 05:06:0{n} CEST host kernel: {text}\n",
    "short-unix": "1764000000.12345{n} host kernel: {text}\n",
    "metalog": "Nov 24 05:06:0{n} [kernel] {text}\n",
    "no clock": "localhost kernel: {text}\n",
    "KernelCI's mails": "    2022-01-25T09:51:21.64818{n}  kern  :emerg : {text}\n",
    "ts of a console": "Nov 24 05:06:0{n} {text}\n",
    "mail of dmesg -T": "> [Tue Nov 24 05:06:0{n} 2026] {text}\n",
}
DMESG = {
    "dmesg": [
        {"pri": 6, "time": usec / 1e6, "msg": text} for text, usec in zip(SAID, USEC, strict=True)
    ]
}
LAVA = [{"dt": "2026-11-24T05:06:00", "lvl": "target", "msg": line} for line in SAID]
OTHERS = {
    "dmesg --json": (json.dumps(DMESG, indent=3), True),
    "dmesg --json, cut short": (json.dumps(DMESG, indent=3)[:-7], True),
    "journal json": ("\n".join(json.dumps(one) for one in entries()), True),
    "journal json-pretty": ("\n".join(json.dumps(one, indent=8) for one in entries()), True),
    "journal json-sse": ("\n".join(f"data: {json.dumps(one)}\n" for one in entries()), True),
    "journal json-seq": ("".join(f"\x1e{json.dumps(one)}\n" for one in entries()), True),
    "journal json of bytes": (
        "\n".join(json.dumps(one | {"MESSAGE": [*one["MESSAGE"].encode()]}) for one in entries()),
        True,
    ),
    "journal export": (
        "".join(
            "".join(f"{key}={value}\n" for key, value in ({"__CURSOR": "s"} | one).items()) + "\n"
            for one in entries()
        ),
        True,
    ),
    "journal verbose": (
        "".join(
            "Tue 2026-11-24 05:06:00.123456 UTC [s=1f;i=1;b=2;m=3;t=4;x=5]\n"
            + "".join(f"    {key}={value}\n" for key, value in one.items())
            for one in entries()
        ),
        True,
    ),
    "LAVA's own": ("".join(f"- {json.dumps(one)}\n" for one in LAVA), False),
    "docker": (each('{{"log":"{stamp} {text}\\n","stream":"stdout"}}\n'), True),
}
LOGS = (
    {name: (each(form), True) for name, form in STAMPED.items()}
    | {name: (each(form), False) for name, form in PLAIN.items()}
    | OTHERS
)


@pytest.mark.parametrize(("log", "stamped"), LOGS.values(), ids=LOGS.keys())
def test_a_boot_is_the_same_however_it_is_kept(log, stamped):
    report = outcomes.report(log.encode())
    assert report["outcome"] == "oops"
    assert report["reason"] == SAID[2]
    assert report["banner"] == SAID[0]
    assert report["command_line"] == "console=ttyS0"
    assert report["last_stamp_s"] == (USEC[-1] / 1e6 if stamped else None)
    assert report["boots"] == 1


@pytest.mark.parametrize(("log", "stamped"), LOGS.values(), ids=LOGS.keys())
def test_a_log_that_is_cut_anywhere_is_read(log, stamped):
    data = log.encode()
    for end in range(0, len(data), 97):
        outcomes.report(data[:end])


def test_an_export_of_several_lines_and_bytes():
    message = b"BUG: Bad page state\nin process x"
    data = b"__CURSOR=s\n_TRANSPORT=kernel\nMESSAGE\n" + len(message).to_bytes(8, "little")
    unpacked = formats.unpack(data + message + b"\nPRIORITY=1\n\n")
    assert unpacked == b"<6>BUG: Bad page state\n<6>in process x"


def test_pieces_of_a_record_are_one_line():
    old = b"6,1,1000000,c;CPU0: \n6,2,1000001,+;Intel\n6,3,2000000,-;next\n"
    assert formats.unpack(old) == b"[    1.000000] CPU0: Intel\n[    2.000000] next"
    cut = b"6,1,1000000,-,ncfrag=0/9;CPU0: \n6,1,1000000,-,ncfrag=6/9;Intel\n"
    assert formats.unpack(cut) == b"[    1.000000] CPU0: Intel"
    assert formats.unpack(b"6,1,1000000,-;a\\x09b\\x1bc\n") == b"[    1.000000] a\tb c"


def test_a_mail_that_is_quoted_printable():
    said = "Unable to handle kernel pagi=\nng request, epc =3D=3D 1"
    mail = f"Content-Transfer-Encoding: quoted-printable\n\nIt says:\n\n  {said}\n"
    report = outcomes.report(mail.encode())
    assert report["reason"].startswith("Unable to handle kernel paging request, epc == 1")


def test_programs_of_a_journal_are_no_kernel():
    lines = "Nov 24 05:06:00 host kernel: Linux version 6.1.0 (x) #1\n"
    lines += "Nov 24 05:06:01 host sshd[12]: WARNING: no host key\n"
    console = dmesg.read_any(lines.encode())
    assert [(line.text, line.printk) for line in console.lines] == [
        ("Linux version 6.1.0 (x) #1", True),
        ("sshd[12]: WARNING: no host key", False),
    ]
    assert outcomes.report(lines.encode())["outcome"] == "ok"


def test_a_console_of_a_machine_is_left_as_it_is():
    text = "SeaBIOS (version 1.16.2)\n[    1.500000] a: b\nuser space: 1\n[  OK  ] Started x\n{}\n"
    assert formats.peel(text) == text
    assert formats.unpack(text.encode()) == text.encode()


@pytest.mark.parametrize(
    "text", ['{"a":' * 5000, "[" * 100_000, '{"msg":1e999}', '{"dmesg":[{' * 99]
)
def test_json_of_horrors_is_a_text(text):
    assert outcomes.report(text.encode())["outcome"] == "incomplete"

# SPDX-License-Identifier: GPL-2.0-only
"""Several boots in one log, and whether one came to user space."""

import pytest

from harness.parse import boots, dmesg
from harness.parse import outcome as outcomes
from tests.support.consoles import RECORDED

GOOD = "[    0.000000] Linux version 6.1.0 (x) #1\n[    1.50{}000] smp: Brought up 1 node\n"
END = "[    2.000000] Run /init as init process\n"
PANIC = "[    2.000000] Kernel panic - not syncing: x\n"
FIRMWARE = "SeaBIOS (version 1.16.2)\n"

ONE = "Nov 24 05:09:00 a kernel: Linux version 2.6.10 (x) #1\n"
TWO = "Nov 24 05:09:00 a sshd[1]: x\n"


def boot(number, end=""):
    return GOOD.format(number) + end


def test_the_last_boot_is_judged_and_those_before_are_told():
    log = boot(1, PANIC) + boot(2, END) + boot(3, END + "[    3.0] x\n[    3.000000] WARNING: y\n")
    report = outcomes.report(log.encode())
    assert (report["boots"], report["earlier"]) == (3, ["panic", "ok"])
    assert (report["outcome"], report["reason"]) == ("warning", "WARNING: y")


@pytest.mark.parametrize(
    ("log", "outcome", "count"),
    [
        (boot(1) + FIRMWARE + boot(1), "reboot-loop", 2),
        (boot(1) + boot(2) + boot(3), "reboot-loop", 3),
        (boot(1, PANIC) + boot(2), "reboot-loop", 2),
        (boot(1, PANIC) + boot(2, PANIC), "panic", 2),
        (boot(1, END) + boot(2), "incomplete", 2),
        ("[  900.000000] x\n" + PANIC + boot(2, END), "ok", 2),
        ("Nov 24 05:06:00 a kernel: BUG: x\n" + ONE + TWO, "ok", 2),
        (boot(1, END) + "# dmesg\n" + boot(1, END), "ok", 1),
        (boot(1, "[    1.6] printk: bootconsole disabled\n") + boot(1, END), "ok", 1),
        (boot(1, END) + "Linux version 6.1.0 (x) #1\n", "ok", 1),
        ("Linux version 6.1.0 (x) #1\nRun /init as init process\n" * 2, "ok", 1),
        ("Linux version 3.2.0 (x) #1\nKernel command line: x\n" * 2, "reboot-loop", 2),
    ],
)
def test_what_is_another_boot(log, outcome, count):
    report = outcomes.report(log.encode())
    assert (report["outcome"], report["boots"]) == (outcome, count)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_console_is_one_boot(path):
    assert len(boots.split(dmesg.read_any(path.read_bytes()))) == 1


BEGINS = """
Run /sbin/init as init process
Freeing unused kernel image (initmem) memory: 2000K
Freeing unused kernel memory: 212k freed
Freeing init memory: 212K
systemd[1]: Inserted module 'autofs4'
systemd 252.5-2 running in system mode (+PAM)
Welcome to Debian GNU/Linux 12 (bookworm)!
[  OK  ] Started Journal Service.
INIT: version 2.88 booting
INIT: Entering runlevel: 5
init started: BusyBox v1.19.4 (2013-03-14 11:28:31 UTC)
Please press Enter to activate this console.
BusyBox v1.35.0 (Debian) built-in shell (ash)
/bin/sh: can't access tty; job control turned off
init: init first stage started!
init: Console is alive
procd: - early -
- preinit -
OpenRC 0.45 is starting up Linux 6.1.0 (x86_64)
dracut: dracut-057
dracut-initqueue[300]: Warning: timeout
Loading, please wait...
Begin: Loading essential drivers ... done.
:: running early hook [udev]
starting version 252
systemd-udevd[123]: starting version 252
Poky (Yocto Project Reference Distro) 4.0 qemux86-64 /dev/ttyS0
Alpine Init 3.8.1-r0
- runit: $Id: 25da3b86f7bed4038b8a039d2f8e8c9bbcf0822b $: booting.
Starting syslogd: OK
Starting network: OK
debian login:
qemux86-64 login: root
root@host:/#
~ #
"""


@pytest.mark.parametrize(
    "line", [n for n in BEGINS.strip("\n").split("\n") if "root" not in n[-6:]]
)
@pytest.mark.parametrize("before", ["", "[    3.000000] "])
def test_a_word_of_any_user_space(line, before):
    log = f"[    0.000000] Linux version 6.1.0 (x) #1\n{before}{line}"
    assert outcomes.report(log.encode())["outcome"] == "ok"
    assert outcomes.report(before.encode() + line.encode() + b"\n# made\n")["boots"] == 0


@pytest.mark.parametrize(
    "text",
    [
        "Jun 09 20:31:05 host systemd[1]: Starting PostgreSQL database server...\n",
        "2026-06-09T20:31:05+00:00 host sshd[12]: Accepted publickey for x\n",
        "Welcome to GRUB!\nlogin: \n",
        "# A kernel\n\nIt says `Freeing unused kernel memory` and Run /init as init process.\n",
        "U-Boot 2023.01\nHit any key to stop autoboot: 0\nStarting kernel ...\n",
        "root:x:0:0:root:/root:/bin/bash\n",
        '[    33.123] (II) LoadModule: "glx"\n[    33.124] (WW) x\n',
        '{"time": "2026-01-01", "level": "info", "msg": "systemd[1]: Started x"}\n',
    ],
)
def test_a_text_without_a_kernel_is_no_good_boot(text):
    report = outcomes.report(text.encode())
    assert (report["outcome"], report["boots"]) == ("incomplete", 0)
    assert report["reason"] == "no line of a kernel is in this text"


def test_a_boot_loader_that_welcomes_is_no_user_space():
    log = "Welcome to minicom 2.8\nlogin: \n[    0.000000] Linux version 6.1.0 (x) #1\n"
    assert outcomes.report(log.encode())["outcome"] == "incomplete"

# SPDX-License-Identifier: GPL-2.0-only
"""Where a log's boots begin, and whether one came to user space: of any kernel, any init. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from harness.parse import trouble
from harness.parse.dmesg import Dmesg, Line

_BANNER = re.compile(r"Linux version \d\S*(?: ?[(#]|$)")
_STARTS = re.compile(
    r"SeaBIOS|U-Boot|GRUB|OVMF|BdsDxe|EFI stub|iPXE|coreboot|Starting kernel|Booting Linux(?! on)"
    r"|[Uu]ncompressing Linux|Decompressing Linux|Restarting system|reboot: |Rebooting in"
    r"|OpenSBI|NOTICE:  BL|Kernel panic|-- Reboot --|-- Boot "
)
"""Words of firmware, of a boot loader, or of a kernel that ends."""
_NEAR = 4000
"""How far before a banner they are looked for, characters."""
_COMPARED = 3
MAX_BOOTS = 10_000
BANNER = "Linux version "

_WORDS = (
    r"(?:(?:Run|Trying to run) /\S* as init process|Freeing (?:unused kernel|init memory)"
    r"|systemd(?:-[\w-]+)?\[\d+\]: |systemd \d\S* running in |\[  OK  \] |\[FAILED\] |\[DEPEND\] "
    r"|INIT: (?:version|Entering)|init started: BusyBox|BusyBox v\d|Please press Enter to activate"
    r"|starting pid \d+, tty|init: |ueventd: |healthd: |apexd: "  # Android, Upstart, OpenWrt
    r"|procd: |- (?:pre)?init |preinit|OpenRC |(?:\* )?Mounting (?:/proc|root|/sys|boot media)"
    r"|dracut|Welcome to (?!GRUB)|Poky \(|Alpine Init|Loading, please wait|Begin: |:: running "
    r"|(?:systemd-)?udevd?\[\d+\]: |starting version \d|Starting version \d|(?:- )?runit: |dinit: "
    r"|Starting (?:udev|syslogd|klogd|logging|network|mdev|dropbear|sshd|haveged|rpcbind|crond)"
    r"|(?:/bin/)?(?:sh|ash|bash): |Give root password|Press Enter for maintenance|udhcpc|e2fsck "
    r"|fsck from |(?:~|/|root@\S+) ?# ?$|pageinit: )"
)
_USER_SPACE = tuple(re.compile(before + _WORDS) for before in (r"\] ", r"\n", r"\n<\d{1,3}>"))
_PROGRAM = re.compile(r"\n(?!<)[\w./@-]{2,60}\[\d{1,9}\]: ")
_LOGIN = "login:"


def reached(console: Dmesg) -> bool:
    """Whether user space began, by a word of the kernel, of an init, or of what init started.

    What stands before the banner does not count: a boot loader welcomes too.
    """
    start = next((at for at, line in console.find(BANNER) if _BANNER.match(line.text)), 0)
    if any(True for word in _USER_SPACE for _ in console.around(word, start)):
        return True
    if console.tagged and any(True for _ in console.around(_PROGRAM, start)):
        return True
    for _, lines in console.around(_LOGIN, start):
        before, _, behind = lines[0].text.partition(_LOGIN)
        if not before.endswith(("Last ", "last ")) and not behind.strip():
            return True
    return False


def split(console: Dmesg) -> list[Dmesg]:
    """The boots of a log, each from its banner on, in order; what precedes is of the first."""
    begins: list[int] = []
    for at, lines in console.around(BANNER):
        banner = next((n for n in lines if _is_banner(console, n, bool(begins))), None)
        if banner and not (begins and _again(console, begins[-1], at)):
            if not begins and _headless(console, at, banner):
                begins.append(0)
            begins.append(at)
            if len(begins) > MAX_BOOTS:
                break
    begins[:1] = [0]
    ends = [*begins[1:], len(console.text)]
    return [
        replace(console, data=b"", text=console.text[begin:end])
        for begin, end in zip(begins, ends, strict=True)
    ]


def _headless(console: Dmesg, at: int, banner: Line) -> bool:
    """Whether lines of a boot stand before a banner, whose own is lost."""
    before = replace(console, data=b"", text=console.text[:at])
    late = (before.last_stamp_s or 0.0) > (banner.stamp_s or 0.0) + 1.0
    return late or bool(trouble.find(before))


def _is_banner(console: Dmesg, line: Line, later: bool) -> bool:
    """A program may print the banner too: where lines of the kernel can be told, it is none."""
    told = line.printk or not (later and console.stamped)
    return told and bool(_BANNER.match(line.text))


def _again(console: Dmesg, first: int, second: int) -> bool:
    """Whether a banner is that of the same boot: a second console, or dmesg run by a program."""
    text = console.text
    if _STARTS.search(text, max(first, second - _NEAR), second):
        return False
    one = _stamps(text[first : min(first + _NEAR, second)])
    other = _stamps(text[second : second + _NEAR])
    if not one and not console.stamped:  # /proc/version, for instance
        return "ommand line: " not in text[second : second + _NEAR]
    if any(a != b for a, b in zip(one, other, strict=False)):
        return False
    before = replace(console, data=b"", text=text[first:second])
    return "bootconsole" in before.text or reached(before)


def _stamps(text: str) -> list[str]:
    found = re.findall(r"^(?:<\d+>)?(\[ *\d+\.\d{6}\].*)", text, re.M)
    return [line for line in found if not line.startswith("[    0.000000]")][:_COMPARED]

# SPDX-License-Identifier: GPL-2.0-only
"""Patches as mailers leave them: the tree that they make, and what is said of them."""

import base64
import logging
import quopri
from email.message import EmailMessage
from pathlib import Path

import pytest

from harness.errors import PatchError
from harness.kernel import patches
from harness.kernel.mail import read

FROM = b"From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n"
HEAD = b"From: A U Thor <a@localhost>\nSubject: [PATCH] mm: say it\nMIME-Version: 1.0\n"
BODY = b"\nWords, a = sign, and \xc3\xbc.\n---\n mm/page.c | 2 +-\n\n"
TAIL = b"-- \n2.39.5\n"


def diff(line: int, said: str) -> bytes:
    """A diff of mm/page.c in which a line says something else, long and with a `=`."""
    around = [f" line {n}\n" for n in range(line - 3, line + 4)]
    around[3] = f"-line {line}\n+{said} = \xfc{'x' * 90}\n"
    top = "diff --git a/mm/page.c b/mm/page.c\n--- a/mm/page.c\n+++ b/mm/page.c\n"
    return (top + f"@@ -{line - 3},7 +{line - 3},7 @@\n" + "".join(around)).encode()


def mail(
    content: bytes, encoding: str = "8bit", pack=lambda data: data, more: bytes = b""
) -> bytes:
    kind = b"Content-Type: text/plain; charset=UTF-8" + more + b"\n"
    return (
        FROM + HEAD + kind + f"Content-Transfer-Encoding: {encoding}\n\n".encode() + pack(content)
    )


def crlf(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


def attached(content: bytes) -> bytes:
    message = EmailMessage()
    message["From"], message["Subject"] = "A <a@localhost>", "[PATCH] mm: say it"
    message.set_content("See the patch.\n")
    message.add_attachment(content.decode(), subtype="x-patch", filename="a.patch", cte="base64")
    return message.as_bytes()


PLAIN = BODY + diff(5, "five") + TAIL
MADE = {
    "plain": (mail(PLAIN), ()),
    "quoted-printable": (
        mail(PLAIN, "quoted-printable", quopri.encodestring),
        ("quoted-printable",),
    ),
    "base64": (mail(PLAIN, "BASE64", base64.encodebytes), ("base64",)),
    "crlf": (crlf(mail(PLAIN)), ("CR LF at the end of each line",)),
    "base64-crlf": (
        mail(crlf(PLAIN), "base64", base64.encodebytes),
        ("base64", "CR LF at the end of each line"),
    ),
    "quoted-crlf": (
        crlf(mail(PLAIN, "quoted-printable", quopri.encodestring)),
        ("quoted-printable", "CR LF at the end of each line"),
    ),
    "multipart": (attached(diff(5, "five")), ("multipart",)),
    "bare": (diff(5, "five"), ()),
    "bare-crlf": (crlf(diff(5, "five")), ("CR LF at the end of each line",)),
    "quilt": (b"Some words before.\n\n" + diff(5, "five"), ()),
}


def lay(folder: Path, *files: bytes) -> Path:
    names = [f"{number:04}-x.patch" for number in range(1, len(files) + 1)]
    folder.mkdir()
    for name, data in zip(names, files, strict=True):
        (folder / name).write_bytes(data)
    (folder / "series").write_text("".join(f"{name}\n" for name in names))
    return folder


@pytest.mark.parametrize("name", MADE)
def test_one_patch_makes_one_tree_however_it_was_sent(fetched, tmp_path, name, caplog):
    caplog.set_level(logging.INFO)
    data, notes = MADE[name]
    plain = patches.apply(fetched, [lay(tmp_path / "plain", MADE["bare"][0])])
    series = lay(tmp_path / "sent", data)
    found = patches.apply(fetched, [series])
    assert found.tree == plain.tree
    (one,) = read(series / "0001-x.patch")
    assert one.notes == notes
    assert ("decoded" in caplog.text) == bool(notes)
    if not notes:
        assert one.text == data


def test_an_mbox_is_as_many_patches_as_it_has(fetched, tmp_path):
    cover = mail(b"\nThree patches, and this letter.\n")
    whole = [diff(5, "five"), diff(6, "never"), diff(12, "twelve")]
    whole[1] = whole[1].replace(
        b" line 5\n", f"+five = \xfc{'x' * 90}\n".encode().replace(b"+", b" ")
    )
    mails = [mail(BODY + part + TAIL) for part in whole]
    mails[2] = mail(BODY + whole[2] + TAIL, "base64", base64.encodebytes)
    series = lay(tmp_path / "box", b"\n".join([cover, *mails]))
    found = patches.apply(fetched, [series])
    assert [step.name for step in found.steps] == [f"0001-x.patch#{n}" for n in (1, 2, 3)]
    assert [step.tree for step in found.steps] == [
        step.tree for step in patches.apply(fetched, [lay(tmp_path / "each", *mails)]).steps
    ]
    assert (found.added, found.removed) == (3, 3)
    assert patches.apply(fetched, [series]) == found


def test_what_does_not_apply_says_which_mail_it_was(fetched, tmp_path):
    wrong = diff(12, "twelve").replace(b" line 11\n", b" line eleven\n")
    second = mail(BODY + wrong + TAIL, "quoted-printable", quopri.encodestring)
    series = lay(tmp_path / "box", mail(PLAIN) + b"\n" + second)
    with pytest.raises(
        PatchError, match=r"0001-x.patch \(mail 2, quoted-printable\): does not appl"
    ):
        patches.apply(fetched, [series])


def test_a_mail_whose_lines_were_broken_is_told_so(fetched, tmp_path):
    broken = PLAIN.replace(b" line 4\n", b" line\n4\n")
    series = lay(tmp_path / "flowed", mail(broken, more=b"; format=flowed"))
    with pytest.raises(PatchError, match="format=flowed, which breaks the lines"):
        patches.apply(fetched, [series])


def test_a_file_with_carriage_returns_of_its_own_keeps_them(tmp_path):
    """Where not every line has one, they are the source's."""
    mixed = diff(5, "five").replace(b" line 4\n", b" line 4\r\n")
    path = tmp_path / "x.patch"
    path.write_bytes(mixed)
    assert read(path)[0].text == mixed


def test_a_mail_that_cannot_be_read_is_one_error(fetched, tmp_path):
    for number, data in enumerate((b"", b"\0" * 99, mail(b"!!!", "base64"), b"From: x\n\n")):
        with pytest.raises(PatchError):
            patches.apply(fetched, [lay(tmp_path / str(number), data)])

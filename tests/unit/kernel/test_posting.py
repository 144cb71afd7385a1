# SPDX-License-Identifier: GPL-2.0-only
"""Series as mails bring them: every way in which git and people send them."""

import base64
import contextlib
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import PatchError
from harness.kernel import posting
from tests.support.checkout import ROOT

DIFF = """diff --git a/mm/page.c b/mm/page.c
--- a/mm/page.c
+++ b/mm/page.c
@@ -1,2 +1,2 @@
 a = "é";
-b
+c
"""


def mail(subject: str, body: str = DIFF, *, author: str = "Jörg <j@example.org>", head: str = ""):
    return (
        f"From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n"
        f"From: {author}\nSubject: {subject}\nMessage-ID: <{abs(hash(subject))}@example.org>\n"
        f"MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n{head}\n"
        f"What it does.\n---\n{body}-- \n2.39\n\n"
    ).encode()


def subjects(data: bytes) -> list[str]:
    return [found.subject for found in posting.read(data, "x.mbox").patches]


def test_patches_come_in_the_order_of_their_numbers():
    data = mail("[PATCH 2/2] second") + mail("[PATCH 0/2] cover", "") + mail("[PATCH 1/2] first")
    found = posting.read(data, "x.mbox")
    assert [patch.subject for patch in found.patches] == ["first", "second"]
    assert found.subject == "cover" and found.author == "Jörg <j@example.org>"


def test_replies_and_older_versions_are_left_out():
    data = (
        mail("[PATCH v1] change")
        + mail("Re: [PATCH v2] change", "> " + DIFF.replace("\n", "\n> "))
        + mail("Re: [PATCH v2] change", DIFF)
        + mail("[RFC PATCH v2] change better")
    )
    found = posting.read(data, "x.mbox")
    assert ([p.subject for p in found.patches], found.version) == (["change better"], 2)


def test_mails_without_numbers_are_taken_as_they_come_and_none_twice():
    first, second = mail("[PATCH] one"), mail("[PATCH] two", DIFF.replace("+c", "+d"))
    assert subjects(first + second + first) == ["one", "two"]


@pytest.mark.parametrize("how", ["plain", "quoted-printable", "base64", "crlf"])
def test_whatever_a_mailer_makes_of_it_the_diff_is_the_same(how):
    plain = mail("[PATCH] change")
    head, _, body = plain.partition(b"\n\n")
    if how == "quoted-printable":
        body = quopri.encodestring(body)
    elif how == "base64":
        body = base64.encodebytes(body)
    if how in ("quoted-printable", "base64"):
        plain = head + f"\nContent-Transfer-Encoding: {how}\n\n".encode() + body
    elif how == "crlf":
        plain = plain.replace(b"\n", b"\r\n")
    (patch,) = posting.read(plain, "x.mbox").patches
    assert DIFF.encode() in patch.text and b"\r" not in patch.text


def test_a_bare_diff_is_a_series_of_one():
    found = posting.read(DIFF.replace("\n", "\r\n").encode(), "fix.diff")
    assert (found.subject, found.patches[0].text) == ("fix", DIFF.encode())


def test_the_base_is_that_of_the_trailer():
    commit = "0123456789abcdef0123456789abcdef01234567"
    data = mail("[PATCH] change", DIFF + f"\nbase-commit: {commit}\n")
    assert posting.read(data, "x.mbox").base_commit == commit


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no mail, and no diff"),
        (b"hello\n", "no mail, and no diff"),
        (mail("[PATCH 0/1] cover", ""), "none of them with a diff"),
        (mail("[PATCH 1/3] a") + mail("[PATCH 3/3] c"), "patch 2 of 3 is missing"),
        (mail("Re: [PATCH] a"), "none of them with a diff"),
    ],
)
def test_what_is_no_series_is_said(data, said):
    with pytest.raises(PatchError, match=said):
        posting.read(data, "x.mbox")


def test_a_size_beyond_all_bounds_is_refused(monkeypatch):
    monkeypatch.setattr(posting, "MAX_BYTES", 100)
    with pytest.raises(PatchError, match="no series of patches"):
        posting.read(mail("[PATCH] a"), "x.mbox")


def test_folders_of_format_patch_and_maildirs(tmp_path):
    found = posting.read_folder(ROOT / "kernel-patches/grow/6.12")
    assert found.subject.startswith("initialise memory when it is needed")
    assert len(found.patches) == 3
    for name in ("cur", "new", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "cur/1.host:2,S").write_bytes(mail("[PATCH 2/2] b"))
    (tmp_path / "new/2.host").write_bytes(mail("[PATCH 1/2] a"))
    (tmp_path / "new/link").symlink_to("/dev/zero")
    assert [patch.subject for patch in posting.read_folder(tmp_path).patches] == ["a", "b"]


@given(st.binary(max_size=400))
def test_any_bytes_are_a_series_or_an_error(data):
    with contextlib.suppress(PatchError):
        assert posting.read(data, "x").patches


@given(st.binary(max_size=300))
def test_any_bytes_in_a_mail_are_a_series_or_an_error(data):
    with contextlib.suppress(PatchError):
        assert posting.read(mail("[PATCH] a") + data, "x").patches

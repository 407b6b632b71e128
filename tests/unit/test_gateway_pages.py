"""The page's files as the gateway serves them, without a socket."""

import gzip
import re
from importlib.resources import files

import pytest

from zchat.gateway.heads import answer_head, usual_fields_at
from zchat.gateway.messages import Request, Response
from zchat.gateway.pages import (
    POLICY,
    accepts_gzip,
    load_pages,
    page_of,
    page_routes,
    squeezed,
)

WIRE_BYTES = 60_000
PAGES = load_pages()
SERVE = dict(page_routes())


def get(path: str, **headers: str) -> Response:
    fields = {
        name.replace("_", "-").encode(): value.encode()
        for name, value in headers.items()
    }
    answer = SERVE[path](Request("GET", path, "", fields), {})
    assert isinstance(answer, Response)
    return answer


def head_of(answer: Response) -> str:
    return answer_head(
        answer.status,
        answer.content_type,
        len(answer.body),
        answer.fields,
        usual_fields_at(0),
        "",
    ).decode()


def test_the_page_is_html_that_may_run_its_own_scripts_only() -> None:
    answer = get("/")
    fields = dict(answer.fields)
    assert answer.content_type == "text/html; charset=utf-8"
    assert fields["Content-Security-Policy"] == POLICY
    assert POLICY.startswith("default-src 'none'; script-src 'self'; ")
    assert "unsafe" not in POLICY
    assert "frame-ancestors 'none'" in POLICY
    assert fields["Referrer-Policy"] == "no-referrer"
    assert head_of(answer).count("X-Content-Type-Options: nosniff") == 1


def test_it_is_asked_for_each_time_and_kept_while_it_is_the_same() -> None:
    first = get("/web/main.js", accept_encoding="gzip")
    fields = dict(first.fields)
    assert "Cache-Control: no-cache\r\n" in head_of(first)
    assert "no-store" not in head_of(first)
    assert gzip.decompress(first.body) == PAGES["main.js"].plain
    for known in (fields["ETag"], f'"x", W/{fields["ETag"]}', "*"):
        again = get(
            "/web/main.js", accept_encoding="gzip", if_none_match=known
        )
        assert (again.status, again.body) == (304, b"")
        assert dict(again.fields)["ETag"] == fields["ETag"]


def test_each_form_of_a_file_has_a_tag_of_its_own() -> None:
    plain, packed = get("/"), get("/", accept_encoding="br, gzip")
    assert dict(plain.fields)["ETag"] != dict(packed.fields)["ETag"]
    assert dict(packed.fields)["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in dict(plain.fields)
    assert dict(plain.fields)["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("field", "accepted"),
    [
        ("gzip", True),
        ("GZIP;q=0.5, br", True),
        ("deflate, x-gzip ; q=1", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("xgzip", False),
        ("gzipx", False),
    ],
)
def test_gzip_goes_to_those_who_take_it(field: str, accepted: bool) -> None:
    request = Request("GET", "/", "", {b"accept-encoding": field.encode()})
    assert accepts_gzip(request) is accepted


def test_a_small_file_is_not_packed_for_nothing() -> None:
    assert page_of(b"x", "text/css").packed is None


def test_a_link_into_a_group_opens_the_page() -> None:
    assert get("/join/{link}").body == get("/").body


def test_the_page_loads_its_modules_at_once() -> None:
    """All but those for the type checker, and for codes that are rare."""
    page = PAGES["index.html"].plain.decode()
    named = set(re.findall(r'href="/web/([\w.]+\.js)"', page))
    modules = {name for name in PAGES if name.endswith(".js")}
    assert named == modules - {"main.js", "types.js", "qr.js"}
    assert re.search(r"<script(?! type=\"module\" src=)", page) is None
    assert "style=" not in page
    assert re.search(r"\son\w+=", page) is None


def test_the_first_visit_is_small() -> None:
    total = 0
    for path in SERVE:
        if path.endswith(("}", "types.js", "qr.js")):
            continue
        answer = get(path, accept_encoding="gzip")
        total += len(head_of(answer)) + len(answer.body)
    assert total < WIRE_BYTES


def test_sources_lose_comments_and_indentation_but_no_line() -> None:
    kept = "let a = /** @type {A} */ (b);"
    source = f"/**\n * Why.\n */\n{kept}\n  // so\n  c();\n"
    assert squeezed(source) == f"\n\n\n{kept}\n\nc();\n"


def test_no_source_has_text_that_squeezing_would_change() -> None:
    """A text of several lines would lose its indentation."""
    for file in files("zchat").joinpath("web").iterdir():
        if file.name.endswith(".js"):
            for line in file.read_text("utf-8").splitlines():
                bare = re.sub(r"/(?:[^/\\]|\\.)+/[gimsuy]*", "", line)
                ticks = re.sub(r"\\`|\"[^\"]*\"", "", bare).count("`")
                assert ticks % 2 == 0, f"{file.name}: {line}"

"""What a look at a page is there to find, it finds."""

SOUND = """<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width"><style>
:root { --paper: #fff; --ink: #111; --muted: #555; --grid: #ddd; }
body { background: var(--paper); color: var(--ink); font: 16px sans-serif; }
</style><body><figure><svg aria-label="dots" viewBox="0 0 300 100">
<circle cx="50" cy="50" r="9" fill="#f00"/><text x="9" y="20" font-size="16">left</text>
</svg></figure><p>words</p></body></html>"""

#: Each with what is said of it.
DEFECTS = {
    "<script>console.error('bad')</script>": "console: bad",
    "<script>missing()</script>": "error: missing is not defined",
    '<img src="http://127.0.0.1:9/a.png">': "asks for http://127.0.0.1:9/a.png",
    '<link rel="stylesheet" href="nowhere.css">': "nowhere.css",
    '<img alt="face" src="data:image/png;base64,AAAA">': 'a picture is not shown: "face"',
    '<p style="width: 2000px">long</p>': '<P> "long" sticks out',
    '<p style="font-size: 9px">small</p>': 'text of 9.0 px: "small" in <p>',
    '<p style="color: #999">pale</p>': 'contrast of 2.85: "pale" in <p>',
    '<p style="opacity: 0.3">faint</p>': '"faint" in <p>',
    "<style>@media (prefers-color-scheme: dark) { b { color: #999 } }</style><b>dim</b>": (
        '1280 px, dark: contrast of 2.85: "dim" in <b>'
    ),
    '<div class="scroll" style="width: 9px; overflow-x: auto"><pre>cut off</pre></div>': (
        '1280 px, light: the table "cut off" is cut'
    ),
    # What has the grid's colour, and what lies outside, is no mark.
    '<figure><svg aria-label="A" viewBox="0 0 9 9"><rect width="5" height="5" fill="#ddd"/>'
    "</svg></figure>": "nothing in A",
    '<figure><svg aria-label="B" viewBox="0 0 9 9"><circle cx="-9" r="1" fill="red"/>'
    "</svg></figure>": "nothing in B",
    '<figure style="display: none"><svg aria-label="C"></svg></figure>': "no room for C",
    '<figure><svg aria-label="D" viewBox="0 0 300 100"><text y="50">over</text>'
    '<text y="52">under</text></svg></figure>': '"over" lies on "under" in "D"',
}


def test_every_defect_is_found(look_at, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(SOUND.replace("</body>", "\n".join(DEFECTS)))
    problems = look_at(path).problems
    for defect, problem in DEFECTS.items():
        assert any(problem in found for found in problems), (defect, problems)
    assert not [found for found in problems if '"words"' in found or '"left"' in found]


def test_a_page_that_is_not_made_for_phones(look_at, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(SOUND.replace('name="viewport"', 'name="port"'))
    assert "390 px, light: laid out for 980 px" in look_at(path).problems


def test_a_sound_page_has_no_problems(look_at, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(SOUND)
    seen = look_at(path)
    assert seen.problems == []
    assert seen.figures == [["dots"]] * 4

"""The recipes for FastAPI, Starlette, Flask and Django do what they say."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from tests.web.kit import protected_hub
from tests.web.recipes import PACKAGE, Uvicorn, run_driver, write_recipe
from watertight_sse import Event
from watertight_sse.sync import subscribe


def texts(watch: dict[str, str], hub_url: str, session: str, count: int) -> list[str]:
    """What a page gets behind the position that it was told."""
    got: list[str] = []
    with subscribe(hub_url, session, token=watch["token"], last_event_id=watch["lastEventId"]) as events:
        for event in events:
            assert isinstance(event, Event), event
            got.append(json.loads(event.data)["text"])
            if len(got) == count:
                break
    return got


def test_every_recipe_is_tested() -> None:
    # `hub.md` has a test of its own.
    recipes = {path.stem for path in (PACKAGE / "docs").glob("*.md")} - {"hub"}
    assert recipes == {"fastapi", "flask", "django"}


def test_the_fastapi_recipe_watches_mints_and_relays(tmp_path: Path) -> None:
    hub, _ = protected_hub(tmp_path)
    assert write_recipe("fastapi", tmp_path) == ["app.py", "starlette_app.py"]
    with (
        hub,
        Uvicorn("app", hub.url, tmp_path) as app,
        httpx.Client(base_url=app.url, trust_env=False) as page,
    ):
        assert page.get("/watch/notes/ada").status_code == 401
        page.cookies.set("user", "ada")
        assert page.post("/notes", json={"text": "first"}).status_code == 202
        watch = page.get("/watch/notes/ada").json()
        assert watch["snapshot"] == ["first"]
        assert watch["url"] == f"{hub.url}/sessions/notes%2Fada/events"
        page.post("/notes", json={"text": "second"})
        assert texts(watch, hub.url, "notes/ada", 1) == ["second"]
        assert page.get("/watch/notes/bob").json()["code"] == "FORBIDDEN"
        minted = page.get("/token").json()
        assert texts({**minted, "lastEventId": watch["lastEventId"]}, hub.url, "notes/ada", 1) == ["second"]
        with page.stream("GET", "/stream", params={"replay": "all"}) as stream:
            lines = stream.iter_lines()
            seen: list[str] = []
            while len(seen) < 2:
                line = next(lines)
                seen += [json.loads(line[5:])["text"]] if line.startswith("data:") else []
            assert seen == ["first", "second"]
            app.stop()
            assert any("SHUTTING_DOWN" in line for line in lines), "a stream does not keep it from stopping"
        assert any("Application shutdown complete" in line for line in app.lines), app.lines
        hub.kill()


LIFESPANS = """
import json
import app as recipe
from fastapi.testclient import TestClient

for text in ("first", "second"):
    with TestClient(recipe.app, cookies={"user": "ada"}) as page:
        assert page.post("/notes", json={"text": text}).status_code == 202
        answer = page.get("/stream", params={"wait": "0", "replay": "all"}, headers={"accept": "application/json"})
        print(answer.status_code, json.loads(answer.json()["events"][-1]["data"])["text"])
"""


def test_the_fastapi_recipe_lives_through_several_lifespans(tmp_path: Path) -> None:
    hub, _ = protected_hub(tmp_path)
    write_recipe("fastapi", tmp_path)
    with hub:
        assert run_driver(hub.url, tmp_path, LIFESPANS) == "200 first\n200 second\n"


def test_the_starlette_recipe_watches(tmp_path: Path) -> None:
    hub, _ = protected_hub(tmp_path)
    write_recipe("fastapi", tmp_path)
    with (
        hub,
        Uvicorn("starlette_app", hub.url, tmp_path) as app,
        httpx.Client(base_url=app.url, trust_env=False) as page,
    ):
        assert page.get("/watch/notes/ada").json()["code"] == "UNAUTHORIZED"
        watch = page.get("/watch/notes/ada", headers={"cookie": "user=ada"}).json()
        hub.call(
            "POST",
            "/sessions/notes%2Fada/events",
            '{"data":{"text":"x"}}',
            {"content-type": "application/json"},
        )
        assert texts(watch, hub.url, "notes/ada", 1) == ["x"]


FLASK = """
import json
import app as recipe

with recipe.app.test_client() as page:
    assert page.get("/watch").status_code == 401
    assert page.post("/sign-in", json={"user": "ada"}).status_code == 204
    assert page.post("/notes", json={"text": "first"}).status_code == 202
    answer = page.get("/watch")
    assert answer.headers["cache-control"] == "no-store", answer.headers
    assert page.post("/notes", json={"text": "second"}).status_code == 202
    print(answer.get_data(as_text=True))
"""

DJANGO = """
import json
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="for-the-test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="urls",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

call_command("migrate", verbosity=0)
page = Client()
assert page.get("/watch").status_code == 302, "nobody has signed in"
page.force_login(User.objects.create_user("ada"))
assert page.post("/notes", {"text": "first"}, content_type="application/json").status_code == 202
answer = page.get("/watch")
assert "no-store" in answer.headers["cache-control"], answer.headers
assert page.post("/notes", {"text": "second"}, content_type="application/json").status_code == 202
print(answer.content.decode())
"""


def test_the_flask_recipe_watches(tmp_path: Path) -> None:
    hub, _ = protected_hub(tmp_path)
    assert write_recipe("flask", tmp_path) == ["app.py"]
    with hub:
        watch = json.loads(run_driver(hub.url, tmp_path, FLASK))
        assert watch["snapshot"] == ["first"]
        assert watch["url"] == f"{hub.url}/sessions/notes%2Fada/events"
        assert texts(watch, hub.url, "notes/ada", 1) == ["second"]


def test_the_django_recipe_watches(tmp_path: Path) -> None:
    hub, _ = protected_hub(tmp_path)
    assert write_recipe("django", tmp_path) == ["hub.py", "views.py", "urls.py"]
    with hub:
        watch = json.loads(run_driver(hub.url, tmp_path, DJANGO))
        assert watch["snapshot"] == ["first"]
        assert watch["url"] == f"{hub.url}/sessions/notes-1/events"
        assert texts(watch, hub.url, "notes-1", 1) == ["second"]


def test_where_the_hub_is_away_the_recipes_say_so(tmp_path: Path) -> None:
    hub, _ = protected_hub(tmp_path)
    write_recipe("flask", tmp_path)
    with hub:
        url = hub.url
        hub.kill()
    driver = """
import app as recipe

with recipe.app.test_client() as page:
    page.post("/sign-in", json={"user": "ada"})
    answer = page.get("/watch")
    print(answer.status_code, answer.headers["content-type"], answer.headers["retry-after"])
"""
    assert run_driver(url, tmp_path, driver).split() == ["503", "application/problem+json", "2"]

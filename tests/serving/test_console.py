"""The coach console in a real browser: with the keyboard, on a desk and on a phone."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright")

import uvicorn
from playwright.sync_api import Page, sync_playwright

from trailmark.experiments.serving.app import application
from trailmark.experiments.serving.desk import Desk
from trailmark.experiments.serving.keys import issue

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


@pytest.fixture
def served(desk: Desk) -> Iterator[tuple[str, str, Desk]]:
    for name in ("ada", "bob"):
        desk.enrol("main", f"enrol-{name}", name, None, 360.0, [], None)
    for i in range(4):
        activity = desk.decide("main", f"d{i}", "ada", 1, 0.0, None)["activity"]
        said = {"activity": activity, "correct": 0.0, "minutes": 4.0, "accepted": True, "days": 0.0}
        desk.event("main", f"e{i}", "ada", said)
    key = issue(desk.store, "main", "coach", "Grace")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(application(desk), port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}", key, desk
    server.should_exit = True
    thread.join()


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1200, "height": 900})
        browser.close()


def confirm(page: Page, why: str) -> None:
    page.locator("#why").fill(why)
    page.keyboard.press("Enter")


def shot(page: Page, name: str, tmp_path: Path) -> None:
    page.screenshot(path=Path(os.environ.get("TRAILMARK_SHOTS", tmp_path)) / f"{name}.png", full_page=True)


def test_override_veto_pause_and_back(served: tuple[str, str, Desk], page: Page, tmp_path: Path) -> None:
    url, key, desk = served
    faults: list[Any] = []
    page.on("pageerror", lambda fault: faults.append(fault))
    page.goto(f"{url}/console")
    page.locator("#key").fill("a wrong key")
    page.keyboard.press("Enter")
    page.get_by_text("unknown or revoked").wait_for()
    page.locator("#key").fill(key)
    page.keyboard.press("Enter")
    page.locator("#queue").get_by_text("4 wrong answers in a row").wait_for()
    page.locator("#queue button").first.focus()
    page.keyboard.press("Enter")  # with the keyboard alone
    page.get_by_role("heading", name="ada").wait_for()
    shot(page, "console-desk", tmp_path)

    page.get_by_role("button", name="Choose the next activity").click()
    wanted = desk.engine.activities[5]
    page.locator("#activity").select_option(wanted["id"])
    confirm(page, "she asked for it")
    page.get_by_text("Next (a person chose it)").wait_for()
    assert desk.store.learner("main", "ada").state["override"]["by"] == "Grace"  # type: ignore[union-attr]

    page.locator(".next").first.get_by_role("button", name="Forbid this").click()
    confirm(page, "not today")
    page.get_by_role("button", name="Allow again").wait_for()
    assert "override" not in desk.store.learner("main", "ada").state  # type: ignore[union-attr]
    page.get_by_role("button", name="Allow again").click()
    confirm(page, "tomorrow then")
    page.get_by_role("button", name="Allow again").wait_for(state="detached")

    page.get_by_role("button", name="Pause automation").click()
    confirm(page, "I take over")
    page.get_by_role("button", name="Resume automation").wait_for()
    assert desk.store.learner("main", "ada").state["paused"]  # type: ignore[union-attr]
    page.get_by_role("button", name="I have seen to it").click()
    confirm(page, "we talked")
    page.locator("#queue").get_by_text("Nobody right now.").wait_for()

    page.get_by_role("button", name="Pause everything").click()
    confirm(page, "something is off")
    page.get_by_text("All automation is paused.").wait_for()
    assert desk.stopped("main")
    trail = page.locator("table").inner_text()
    for word in ("override", "veto taken back", "pause", "seen", "Grace: she asked for it"):
        assert word in trail
    assert not faults
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, "console-phone", tmp_path)


def test_a_name_cannot_smuggle_code_in(served: tuple[str, str, Desk], page: Page) -> None:
    url, key, desk = served
    desk.enrol("main", "evil", "<img src=x onerror=document.title='pwned'>", None, None, [], None)
    page.goto(f"{url}/console")
    page.locator("#key").fill(key)
    page.keyboard.press("Enter")
    page.locator("#roster").get_by_text("onerror").first.click()
    page.get_by_role("heading", name="onerror").wait_for()
    assert page.title() == "Trailmark coach console"

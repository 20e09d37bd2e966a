"""The dashboard in headless Chromium: what a person sees, while a search runs and after it."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = pytest.mark.slow

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --window-size=1500,1400"
)
WAIT = 60  # seconds; a busy machine takes its time


@pytest.fixture
def browser(tmp_path):
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs the Debian packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path / 'profile'}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def dashboard(home):
    """The address without a path, of a dashboard on a home that the test may change."""
    command = [sys.executable, "-m", "bench", "dashboard", "--json", "--home", str(home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lines = [process.stdout.readline()]
    while lines[-1].rstrip() != "}":
        lines.append(process.stdout.readline())
        assert lines[-1]
    yield json.loads("".join(lines))["url"].removesuffix("/dashboard/")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0


def until(browser, condition):
    return WebDriverWait(browser, WAIT, poll_frequency=0.5).until(lambda _: condition())


def page_text(browser):
    return browser.find_element(By.TAG_NAME, "body").text


def fetch(browser, url, method):
    script = "fetch(arguments[0], {method: arguments[1]}).then(r => arguments[2](r.status), () => arguments[2](0))"
    return browser.execute_async_script(script, url, method)


def study_id(browser, dashboard, name="digits-mlp"):
    script = "const done = arguments[0]; fetch('/api/studies').then(r => r.json()).then(done)"
    listed = browser.execute_async_script(script)["study_summaries"]
    return next(study["study_id"] for study in listed if study["study_name"] == name)


def test_studies_trials_notes_images_and_figures_are_seen(browser, dashboard):
    browser.set_script_timeout(WAIT)
    browser.get(f"{dashboard}/dashboard")
    until(browser, lambda: all(name in page_text(browser) for name in ("digits-mlp", "foreign")))

    study = study_id(browser, dashboard)
    browser.get(f"{dashboard}/dashboard/studies/{study}/trials")
    until(browser, lambda: all(f"Trial {number}" in page_text(browser) for number in range(7)))

    browser.get(f"{dashboard}/dashboard/studies/{study}/trials?numbers=0")
    until(browser, lambda: "rank" in page_text(browser) and "of the validation images" in page_text(browser))
    decoded = (
        "return [...document.querySelectorAll('img')].filter(i => i.src.includes('/artifacts/') && i.naturalWidth > 0)"
    )
    until(
        browser,
        lambda: (
            {"learning curve", "confusion matrix"} <= {i.get_attribute("alt") for i in browser.execute_script(decoded)}
        ),
    )

    browser.get(f"{dashboard}/dashboard/studies/{study}")
    plots = "return [...document.querySelectorAll('[id^=\"user-defined-plot:\"]')].map(e => e.textContent)"
    titles = ("Validation accuracy over search time", "Trials that reached each rung", "Learning curves")
    until(browser, lambda: all(title in "".join(browser.execute_script(plots)) for title in titles))
    assert len(browser.execute_script(plots)) == 3


def test_what_a_failure_said_is_text_on_its_page(browser, dashboard):
    browser.set_script_timeout(WAIT)
    browser.get(f"{dashboard}/dashboard")
    browser.get(f"{dashboard}/dashboard/studies/{study_id(browser, dashboard)}/trials?numbers=6")
    until(browser, lambda: "onerror=alert(1)" in page_text(browser))
    assert not browser.find_elements(By.CSS_SELECTOR, "img[src='x'], a[href*='evil'], a[href^='javascript']")


def test_a_foreign_name_and_every_write_are_refused(browser, dashboard):
    browser.set_script_timeout(WAIT)
    browser.get(f"{dashboard}/dashboard")
    study = study_id(browser, dashboard)
    for method, path in (
        ("POST", "/api/studies"),
        ("PUT", f"/api/studies/{study}/note"),
        ("DELETE", f"/api/studies/{study}"),
    ):
        assert fetch(browser, dashboard + path, method) == 405
    assert fetch(browser, f"{dashboard}/api/studies/{study}", "GET") == 200
    # A name that somebody else has pointed at this machine.
    browser.get(dashboard.replace("127.0.0.1", "127.0.0.1.localhost") + "/dashboard")
    assert "127.0.0.1 and localhost only" in page_text(browser)


def test_a_search_goes_on_under_the_dashboard_and_its_trials_appear(browser, dashboard, home, search):
    browser.set_script_timeout(WAIT)
    browser.get(f"{dashboard}/dashboard")
    browser.get(f"{dashboard}/dashboard/studies/{study_id(browser, dashboard)}/trials")
    until(browser, lambda: "Trial 6" in page_text(browser))
    running = subprocess.run(search(home, 11), capture_output=True, text=True, env=os.environ)
    assert running.returncode == 0, running.stderr
    # The page asks again by itself.
    until(browser, lambda: all(f"Trial {number}" in page_text(browser) for number in range(11)))

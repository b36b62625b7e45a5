"""A real Chromium for the dashboard's tests, and what they ask of a page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}

CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.nodeValue.trim() || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const ink = rgba(element instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(ink), light(ground(element))].sort((one, other) => other - one);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) poor.push(`${contrast.toFixed(2)} ${walker.currentNode.nodeValue.trim()}`);
  }
  return poor;
}"""
"""Texts whose contrast is below WCAG's AA, computed from the colours that the browser uses."""

UNNAMED = """() => [...document.querySelectorAll("a, button, summary, input, textarea, [role=img]")]
  .filter((one) => one.type !== "hidden" && one.checkVisibility())
  .filter((one) => !(one.ariaLabel || one.innerText?.trim() || one.labels?.length))
  .map((one) => one.outerHTML.slice(0, 200))"""
"""What one can act on, or see a picture in, and nobody would read a name of."""

SMALL = """() => [...document.querySelectorAll("button, summary, input:not([type=hidden])")]
  .filter((one) => one.checkVisibility())
  .filter((one) => one.getBoundingClientRect().height < 17)
  .map((one) => one.outerHTML.slice(0, 200))"""


@contextmanager
def chromium() -> Iterator[Any]:
    """Start Chromium; yield Playwright's browser."""
    api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    # Its sandbox does not start for root.
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Any, base: str, *, cookies: dict[str, str] | None = None, **options: Any
) -> Any:
    """Open a page in a browser of its own; yield it, and fail if a script did.

    Args:
        base: The server's address.
        cookies: What the browser has from before.
        options: Playwright's, such as ``viewport`` or ``color_scheme``.
    """
    trouble: list[str] = []
    context = browser.new_context(base_url=base, **options)
    context.add_cookies(
        [{"name": name, "value": value, "url": base} for name, value in (cookies or {}).items()]
    )
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("dialog", lambda dialog: trouble.append(f"a dialog: {dialog.message}"))
    page.on(
        "console",
        lambda said: trouble.append(said.text) if "Content Security Policy" in said.text else None,
    )
    yield page
    context.close()
    assert trouble == []

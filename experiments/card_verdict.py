"""The verdict of a validity card in words: what these learners may be used for, and why not for more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

ENOUGH = 17  # of the twenty effects
SPACING = ("V1", "V5")
EXPLOITATION = "not exploitable"  # the name of that row of the gate
LEVELS = {
    "comparative": "fit to compare policies on, before a pilot with people",
    "training": "fit to train policies on, not to judge them by",
    "exploratory": "for exploration only",
    "not valid": "not valid: train no policy on them",
}


def level(found: Json) -> str:
    """Return `not valid` where the gate or sanity fails, `comparative` with 17 effects or more, else `exploratory`.

    What is lost on other learners speaks against judging policies here and not against training them here, as long as
    some of it is surely kept (Doroudi, Aleven and Brunskill 2019): `training` in place of `comparative`. So it is where
    nobody has tried.
    """
    failed = [r for r in found["gate"] if not r["passed"]]
    lost = [r for r in failed if r["name"] == EXPLOITATION]
    nothing_left = any(r["check"]["ours"]["low"] <= 0 for r in lost)
    if len(failed) > len(lost) or nothing_left or any(not c["passed"] for c in found["sanity"]):
        return "not valid"
    if sum(e["passed"] for e in found["effects"]) < ENOUGH:
        return "exploratory"
    return "training" if lost or untried(found) else "comparative"


def untried(found: Json) -> bool:
    """Return whether nobody tried if agents exploit these learners."""
    return all(r["name"] != EXPLOITATION or r["missing"] for r in found["gate"])


def counted(found: Json) -> tuple[int, int]:
    """Return how many effects passed, and how many could be tried."""
    tried = [e for e in found["effects"] if not e["missing"]]
    return sum(e["passed"] for e in tried), len(tried)


def sentence(found: Json) -> str:
    """Return the verdict as one sentence."""
    passed, tried = counted(found)
    shown = (
        f"{passed} of {tried} published effects that they could show" if tried else "no published effect can be tried"
    )
    return f"{found['student']} learners are {LEVELS[level(found)]}; {shown}"


def reasons(found: Json) -> list[str]:
    """Return what speaks against these learners, the gravest first."""
    said = [f"Not {r['name'].removeprefix('not ')}: {r['words']}." for r in found["gate"] if not r["passed"]]
    said = [text.replace("Not exploitable", "Exploitable") for text in said]
    if untried(found):
        said.append("Not tried: whether agents exploit what is peculiar to these learners (the full card does).")
    said += [f"Sanity: {c['what']} is {_text(c['ours']['value'])}." for c in found["sanity"] if not c["passed"]]
    effects = {e["name"]: e for e in found["effects"]}
    lost = [name for name in SPACING if not effects[name]["missing"] and not effects[name]["passed"]]
    if "V1" in lost:
        best = effects["V1"]["checks"][3]["ours"]["value"]
        flat = best is not None and best < 0.01
        said.append(
            "No spacing effect: the best gap before a year's delay is none, so no policy can learn when to review."
            if flat
            else f"The spacing effect is not people's: the best gap before a year's delay is {_text(best)} days."
        )
    if effects["V1"]["missing"]:
        said.append(f"No policy can learn when to review: {effects['V1']['missing']}.")
    for e in found["effects"]:
        if not e["missing"] and not e["passed"]:
            wrong = [c for c in e["checks"] if not c["passed"]]
            more = f"; and {len(wrong) - 2} more" if len(wrong) > 2 else ""
            parts = "; ".join(f"{c['what']} {_text(c['ours']['value'])}, band {band(c)}" for c in wrong[:2])
            said.append(f"{e['name']} ({e['title']}): {parts}{more}.")
    telling = found["classifier"]
    if not telling["missing"] and telling["auc"]["value"] > 0.65:
        t = telling["telling"]
        said.append(
            f"A classifier tells them from real learners (AUC {telling['auc']['value']:.2f}): {t['name']} is "
            f"{t['simulated']:.2f}, of real ones {t['real']:.2f}."
        )
    return said


def band(check: Json) -> str:
    """Return the band of a check as text."""
    if check["least"] is None and check["most"] is None:
        return "any"
    if check["most"] is None:
        return f"from {_text(check['least'])}"
    if check["least"] is None:
        return f"to {_text(check['most'])}"
    return f"{_text(check['least'])} to {_text(check['most'])}"


def ours(check: Json) -> str:
    """Return our value with its interval as text."""
    value = check["ours"]
    if value["low"] is None or value["high"] is None or value["low"] == value["high"]:
        return _text(value["value"])
    return f"{_text(value['value'])} [{_text(value['low'])}, {_text(value['high'])}]"


def _text(x: float | None) -> str:
    if x is None:
        return "-"
    return f"{x:.0f}" if abs(x) >= 100 else f"{x:.3g}" if abs(x) >= 1 else f"{x:.3f}".rstrip("0").rstrip(".") or "0"

"""Look for known vulnerabilities in what constraints.txt pins: python -m supply.audit.

Says one line, and fails where one is known. Where the advisory source does not answer it says so, and that is all.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ACCEPTED: dict[str, str] = {}
"""Vulnerabilities that do not concern us, by their ids, each with why."""


def audit(constraints: Path, *options: str) -> tuple[str, bool]:
    """What is known, in words, and whether all is well. `options` are pip-audit's own."""
    command = [
        *(str(Path(sys.executable).with_name("pip-audit")), "--requirement", str(constraints)),
        *("--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json", "--timeout=5"),
        *(f"--ignore-vuln={name}" for name in ACCEPTED),
    ]
    done = subprocess.run([*command, *options], check=False, capture_output=True, text=True)
    return judged(done.stdout, done.stderr)


def judged(answer: str, said: str) -> tuple[str, bool]:
    """The sentence on pip-audit's answer, and whether all is well."""
    try:
        found = json.loads(answer)["dependencies"]
    except (ValueError, LookupError):
        last = (said.strip().splitlines() or ["it said nothing"])[-1].partition(":")[0]
        return f"audit: the advisory source does not answer, nothing was looked up ({last})", True
    known = [(one, vulnerability) for one in found for vulnerability in one.get("vulns", ())]
    if known:
        return "\n".join(f"audit: {one['name']} {one['version']}: {_told(each)}" for one, each in known), False
    looked_up = sum("vulns" in one for one in found)
    if not looked_up:
        return f"audit: the advisory source knows none of the {len(found)} packages, nothing was looked up", True
    return f"audit: no vulnerability is known in {looked_up} of {len(found)} packages" + (
        "; the advisory source does not know the others" if looked_up < len(found) else ""
    ), True


def _told(vulnerability: dict[str, list[str]]) -> str:
    fixed = ", ".join(vulnerability.get("fix_versions") or ())
    return f"{vulnerability['id']}, {f'fixed in {fixed}' if fixed else 'not fixed yet'}"


if __name__ == "__main__":
    sentence, well = audit(ROOT / "constraints.txt")
    print(sentence)
    sys.exit(not well)

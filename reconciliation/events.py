"""What reading an 835 yields: the remittance's nouns as frozen records. `remittance.read` makes them.

Absent text is "", an absent or unreadable amount or date is None. Amounts are Decimals of the currency's major
unit. Nothing here can hold a patient's name, member number or medical record number.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from reconciliation.balancing import Problem
from reconciliation.envelope import InterchangeBroken, InterchangeClosed, InterchangeOpened


class Header(NamedTuple):
    """Who pays whom, how much, when and under which trace: the ST's header loop and its envelope."""

    interchange_control_number: str = ""  # ISA13
    sender: str = ""  # ISA06
    receiver: str = ""  # ISA08
    usage: str = ""  # ISA15: P production, T test
    group_control_number: str = ""  # GS06
    version: str = ""  # GS08, else ST03
    control_number: str = ""  # ST02
    handling_code: str = ""  # BPR01: I with remittance, H notice only, …
    amount: Decimal | None = None  # BPR02
    credit_debit: str = ""  # BPR03: C, D
    method: str = ""  # BPR04: ACH, CHK, NON, …
    payment_date: date | None = None  # BPR16, else DTM*405, else GS04, else ISA09
    trace: str = ""  # TRN02: check or EFT number
    originator: str = ""  # TRN03
    trace_supplement: str = ""  # TRN04
    currency: str | None = "USD"  # CUR02; None where it is no three-letter code
    receiver_reference: str = ""  # REF*EV
    production_date: date | None = None  # DTM*405
    payer_name: str = ""  # N1*PR, N102
    payer_id_qualifier: str = ""  # N103
    payer_id: str = ""  # N104
    payer_reference: str = ""  # REF*2U
    payee_name: str = ""  # N1*PE, N102
    payee_id_qualifier: str = ""  # N103
    payee_id: str = ""  # N104
    payee_tax_id: str = ""  # REF*TJ


class Adjustment(NamedTuple):
    """One CAS triple. The amount reduces what is paid."""

    group: str  # CAS01: CO, PR, OA, PI, CR
    reason: str  # CAS02, 05, 08, …
    amount: Decimal  # CAS03, 06, 09, …
    quantity: Decimal | None  # CAS04, 07, 10, …


class Procedure(NamedTuple):
    """SVC01 or SVC06: a service code in its code system."""

    qualifier: str  # HC for HCPCS and CPT, NU revenue code, …
    code: str
    modifiers: tuple[str, ...]


class ServiceLine(NamedTuple):
    """One SVC and what belongs to it."""

    procedure: Procedure
    original_procedure: Procedure | None  # SVC06, where the payer changed the code
    charge: Decimal | None  # SVC02
    paid: Decimal | None  # SVC03
    units: Decimal | None  # SVC05; absent means one
    service_from: date | None  # DTM*150, else DTM*472
    service_to: date | None  # DTM*151, else DTM*472
    adjustments: tuple[Adjustment, ...]
    line_reference: str  # REF*6R: the provider's own line number
    allowed: Decimal | None  # AMT*B6
    remarks: tuple[str, ...]  # LQ02


class ClaimPayment(NamedTuple):
    """One CLP: how the payer decided one claim. `problems` are those of its own and its lines' equations."""

    line: int  # the CLP's number within its ST, from 1
    claim_as_sent: str  # CLP01
    status: str  # CLP02
    charge: Decimal | None  # CLP03
    paid: Decimal | None  # CLP04
    patient_responsibility: Decimal | None  # CLP05
    filing_indicator: str  # CLP06
    payer_control_number: str  # CLP07
    facility: str  # CLP08
    adjustments: tuple[Adjustment, ...]  # the claim's own, not its lines'
    service_lines: tuple[ServiceLine, ...]
    claim_from: date | None  # DTM*232
    claim_to: date | None  # DTM*233
    received: date | None  # DTM*050
    references: tuple[tuple[str, str], ...]  # REF01 and REF02, claim and lines, see remittance.REFERENCES
    rendering_provider: str  # NM1*82, NM109
    crossover_payer: str  # NM1*TT, NM109
    corrected_payer: str  # NM1*PR, NM109
    remarks: tuple[str, ...]  # MOA03-07, MIA05, MIA20-23
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class ProviderLevelAdjustment:
    """One pair of a PLB. A positive amount reduces the payment, a negative one adds to it."""

    provider: str  # PLB01
    fiscal_period_end: date | None  # PLB02
    code: str  # PLB03-1, 05-1, …
    reference: str  # PLB03-2, …
    amount: Decimal  # PLB04, 06, …


@dataclass(frozen=True, slots=True)
class RemittanceOpened:
    """The header of a remittance is complete. `index` counts the file's 835 sets from 1."""

    index: int
    header: Header


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a remittance; None where an amount in them is absent or unreadable."""

    claims: int
    charged: Decimal | None  # ΣCLP03
    paid: Decimal | None  # ΣCLP04
    provider_level: Decimal | None  # ΣPLB


@dataclass(frozen=True, slots=True)
class RemittanceClosed:
    """The SE of a remittance has come: its equations are decided.

    `balanced`: the remittance equation holds and no claim or line equation that can be evaluated fails. A claim
    with unreadable amounts may stand in a balanced remittance: its own `problems` tell.
    `content_hash` is the same for the same content, whatever its envelope, control numbers and delimiters.
    """

    index: int
    totals: Totals
    balanced: bool
    problems: tuple[Problem, ...]  # the first remittance.MOST_PROBLEMS
    problem_count: int
    notes: tuple[str, ...]  # oddities that stop nothing
    content_hash: str  # SHA-256, hexadecimal


Event = (
    InterchangeOpened
    | RemittanceOpened
    | ClaimPayment
    | ProviderLevelAdjustment
    | RemittanceClosed
    | InterchangeBroken
    | InterchangeClosed
)


@dataclass(frozen=True, slots=True)
class Survey:
    """One remittance, folded. `settleable` is the one question a caller must ask.

    An interchange that broke before any ST gives one Survey too, with index 0 and an empty header, so that no
    part of a file goes unmentioned.
    """

    index: int  # RemittanceOpened.index
    interchange: int  # InterchangeOpened.index
    header: Header
    totals: Totals
    provider_level: tuple[ProviderLevelAdjustment, ...]
    balanced: bool
    problems: tuple[Problem, ...]
    problem_count: int
    notes: tuple[str, ...]  # the remittance's and its interchange's
    content_hash: str  # "" where the SE never came
    broken: str | None  # the sentence of the InterchangeBroken

    @property
    def claim_count(self) -> int:
        """How many CLPs it has."""
        return self.totals.claims

    @property
    def settleable(self) -> bool:
        """Whole and balanced."""
        return self.broken is None and self.balanced

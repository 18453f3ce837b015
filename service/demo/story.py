"""The demo's story, told while it happens: sessions, a pay cycle, remittances, denials, deposits.

What must be true on the way is checked on the way; what is not becomes a sentence in `doubts`.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping

from ledger.accounts import chart
from ledger.money import Amount
from ledger.v1 import postings_pb2
from reconciliation.reasons import Decision
from reconciliation.v1 import reconciliation_pb2 as pb
from service.demo import mail, world
from service.demo.client import IN_FLIGHT, Client, entry
from service.demo.mail import with_case
from service.demo.remittance import written
from service.printing import grouped

CUT_OFF = "2026-04-15"
PAY_DAY = "2026-04-30"
AS_OF = "2026-07-31"
_DEPOSITED = {"HARBOR", "SUMMIT", "MEADOW"}
_SETTLED = pb.REMITTANCE_STATE_SETTLED


class Story:
    """One telling on a book that is still empty."""

    def __init__(self, client: Client) -> None:
        """`client` speaks to a running server."""
        self.doubts: list[str] = []
        self._client = client
        self._claims = world.claims()
        self._decided = mail.cases(self._claims)
        self._began = time.perf_counter()

    async def tell(self) -> None:
        """Everything, in the order in which it happened."""
        await self._client.open_book("Demo Care (invented)")
        await self._sessions()
        await self._copays()
        await self._pay_cycle()
        owed = await self._client.balance(chart.PROVIDER_PAYABLES)
        content = written(mail.june(self._claims, self._decided), 1)
        await self._june(content)
        await self._once_more(content)
        await self._denials()
        await self._july()
        self._say_providers(owed, await self._client.balance(chart.PROVIDER_PAYABLES))

    # --- what the company does ---------------------------------------------------------------------

    async def _sessions(self) -> None:
        sessions = [session for claim in self._claims for session in claim.sessions]
        await self._client.record(sessions)
        providers, payers = ({getattr(s, who) for s in sessions} for who in ("provider", "payer"))
        above = sum(session.margin > 0 for session in sessions)
        below = sum(session.margin < 0 for session in sessions)
        self._say(
            f"{len(sessions):,} sessions in {len(self._claims):,} claims by {len(providers)} providers for "
            f"{len(payers)} payers recorded over gRPC, {IN_FLIGHT} calls in flight",
            f"{above:,} with a margin, {len(sessions) - above - below:,} with none, {below:,} below cost",
        )

    async def _copays(self) -> None:
        paid = [c for c in self._claims if c.sessions[0].plan == "PPO" and c.sessions[0].day <= world.SPRING]
        await self._client.post([_copay(claim) for claim in paid])
        total = sum(claim.patient_share for claim in paid)
        self._say(f"{len(paid):,} copays collected at the visit, {_usd(total)}")

    async def _pay_cycle(self) -> None:
        rows = [row for row in await self._client.payables(CUT_OFF) if row.payable.minor_units > 0]
        for row in rows:
            await self._client.pay(row.provider, row.payable, PAY_DAY, CUT_OFF)
        total = sum(row.payable.minor_units for row in rows)
        self._say(
            f"{len(rows)} providers paid {_usd(total)} on {PAY_DAY} for sessions up to {CUT_OFF}; "
            "no payer has paid anything yet"
        )

    async def _deposit(self, remittance: pb.Remittance, day: str) -> None:
        """The bank's money meets the payer's explanation, and the clearing account must be empty again."""
        account = chart.clearing(remittance.payer, remittance.trace)
        signed = next(payer.identifier for payer in world.PAYERS if payer.code == remittance.payer)
        await self._client.deposit(remittance.trace, signed, remittance.paid, day)
        left = await self._client.balance(account)
        self._expect(left == 0, f"{account} stands at {_usd(left)} after its deposit")

    # --- what payers send --------------------------------------------------------------------------

    async def _june(self, content: bytes) -> None:
        for payer in world.PAYERS:
            await self._client.identify(payer.code, payer.identifier, payer.name)
        for claim in with_case(self._decided, "forwarded"):
            await self._client.cover(claim, world.PAYERS[1].code)
        answer = await self._client.deliver("june.835", content)
        count = sum(remittance.claim_count for remittance in answer.remittances)
        self._say(
            f"june.835 delivered: {len(answer.remittances)} remittances, {count:,} claim payments, "
            f"{len(content):,} bytes",
            *_told(answer.remittances),
            f"sent: {_counts(Counter(self._decided.values()))}",
            f"decided: {_decisions(answer)}",
            *await self._adjustments(answer.remittances[0]),
        )
        self._see_june(answer)
        deposited = [one for one in answer.remittances if one.payer in _DEPOSITED]
        for remittance in deposited:
            await self._deposit(remittance, "2026-06-15")
        waiting = await self._client.balance(chart.REMITTANCE_CLEARING)
        self._say(
            f"{len(deposited)} deposits posted, their clearing accounts are at zero; "
            f"{_usd(waiting)} of LANTERN still waits for its deposit"
        )

    async def _adjustments(self, remittance: pb.Remittance) -> list[str]:
        found = await self._client.adjusted(remittance.id)
        self._expect({one.code for one in found} == {"L6", "WO", "FB", "72", "CS", "LE"}, "a PLB code is missing")
        return [
            f"PLB {one.code} {one.reference} {_usd(one.amount.minor_units)} went to {one.account}" for one in found
        ]

    def _see_june(self, answer: pb.IngestRemittanceResponse) -> None:
        """Every decision was taken, and the one remittance that does not add up was kept out."""
        seen = {_decision(one.decision) for one in answer.decisions if one.count}
        for decision in Decision:
            told = decision.replace("_", " ")
            self._expect(told in seen, f"no claim of june.835 was decided as {told}")
        for one in answer.remittances:
            wanted = pb.REMITTANCE_STATE_QUARANTINED if one.payer_name.startswith(mail.UNBALANCED) else _SETTLED
            self._expect(one.state == wanted, f"{one.trace} is {_state(one)}: {one.reason}")

    async def _once_more(self, content: bytes) -> None:
        """The same bytes once more, and what balances of them in another envelope."""
        before = await self._client.last_number()
        same = await self._client.deliver("june-again.835", content)
        june = mail.june(self._claims, self._decided)
        sent = [one for one in june if one.payer.code != mail.UNBALANCED]
        enveloped = await self._client.deliver("june-resent.835", written(sent, 2))
        posted = await self._client.last_number() - before
        self._expect(same.duplicate and not posted, "a second delivery was not seen as one")
        repeated = sum(one.state == pb.REMITTANCE_STATE_DUPLICATE for one in enveloped.remittances)
        self._expect(repeated == len(sent), f"{repeated} remittances were seen as duplicates")
        self._say(f"june.835 delivered twice more, once in another envelope: {posted} entries posted")

    async def _denials(self) -> None:
        """One denial is final, the other is won on appeal. No provider hears of either."""
        final, won = with_case(self._decided, "denied")[:2]
        provider = next(claim.provider for claim in self._claims if claim.name == final)
        before = await self._client.balance(chart.payable(provider))
        lost = await self._client.absorb(final, "2026-06-20", "denied, appeal without prospect")
        await self._client.absorb(won, "2026-06-20", "denied, no answer to the appeal")
        back = await self._client.recover(won, "2026-07-01", "denial overturned on appeal")
        after = await self._client.balance(chart.payable(provider))
        self._expect(before == after, f"a denial moved the payable of {provider}")
        self._expect(not _names_a_provider(lost, back), "a denial was posted to a provider")
        self._say(
            f"denial of {final} absorbed, {_usd(_amount(lost))}; denial of {won} absorbed and recovered, "
            f"{_usd(_amount(back))}",
            f"payable to {provider}, who held the sessions of {final}: {_usd(-before)} before the denial was "
            f"absorbed, {_usd(-after)} after it",
        )

    async def _july(self) -> None:
        won = with_case(self._decided, "denied")[1]
        content = written([mail.july(self._claims, self._decided, won)], 3)
        answer = await self._client.deliver("july.835", content)
        [remittance] = answer.remittances
        self._say(
            f"july.835 delivered: {won} is paid after all, late claims are paid, a payment of June is taken back",
            *_told(answer.remittances),
            f"decided: {_decisions(answer)}",
        )
        self._expect(remittance.state == _SETTLED, f"{remittance.trace} is {_state(remittance)}")
        await self._deposit(remittance, "2026-07-13")
        carried = await self._client.balance(chart.FORWARD_BALANCES)
        self._expect(carried == 0, f"{_usd(carried)} carried from June to July is left")

    # --- telling -----------------------------------------------------------------------------------

    def _say_providers(self, before: int, after: int) -> None:
        self._expect(before == after, "remittances or denials moved what is payable to providers")
        self._say(
            f"payable to all providers: {_usd(-before)} before the first remittance, {_usd(-after)} after the last"
        )

    def _say(self, sentence: str, *more: str) -> None:
        """One step and what it took since the step before."""
        now = time.perf_counter()
        print(f"- {sentence} ({now - self._began:.1f} s)", flush=True)
        for line in more:
            print(f"    {line}")
        self._began = now

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.doubts.append(otherwise)


def _copay(claim: world.Claim) -> postings_pb2.EntryToPost:
    day, share = claim.sessions[0].day.isoformat(), claim.patient_share
    lines = ((chart.CASH, share, ""), (chart.PATIENT_RECEIVABLE, -share, claim.name))
    return entry(f"copay {claim.name}", day, "copay", *lines)


def _told(remittances: Iterable[pb.Remittance]) -> list[str]:
    return [_remittance(one) for one in remittances]


def _remittance(one: pb.Remittance) -> str:
    said = f"{one.trace}: {one.claim_count:,} claim payments, {_usd(one.paid.minor_units)}, {_state(one)}"
    if one.state != _SETTLED:
        return f"{said}: {one.reason}"
    posted, suspended = _usd(one.posted.minor_units), _usd(one.suspended.minor_units)
    return f"{said}: posted {posted}, in suspense {suspended}, exceptions {one.exception_count}"


def _decisions(answer: pb.IngestRemittanceResponse) -> str:
    return _counts({_decision(one.decision): one.count for one in answer.decisions})


def _counts(times: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(times.items()))


def _names_a_provider(*entries: postings_pb2.JournalEntry) -> bool:
    lines = (posting for one in entries for posting in one.postings)
    return any(posting.account.startswith(chart.PROVIDER_PAYABLES) for posting in lines)


def _amount(posted: postings_pb2.JournalEntry) -> int:
    return posted.postings[0].amount.minor_units


def _state(one: pb.Remittance) -> str:
    return pb.RemittanceState.Name(one.state).removeprefix("REMITTANCE_STATE_").lower()


def _decision(value: pb.Decision.ValueType) -> str:
    return pb.Decision.Name(value).removeprefix("DECISION_").lower().replace("_", " ")


def _usd(cents: int) -> str:
    return grouped(Amount(cents, world.CURRENCY))

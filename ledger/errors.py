"""Every reason for which the books refuse, on one page.

A refusal is named for what is wrong; its `reason` is the class name in the wire's spelling
(`EntryUnbalanced` is `REASON_ENTRY_UNBALANCED` in errors.proto). The groups below become gRPC codes in
`service/refusals.py`. Facts are strings, so that they travel unchanged in `google.rpc.ErrorInfo.metadata`.
"""

import re


class Refusal(Exception):
    """The books say no. `message` is one sentence for people, `facts` are the same facts for programs."""

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.facts = {name: str(value) for name, value in facts.items()}

    @property
    def reason(self) -> str:
        """The wire's name of this refusal, without its prefix: `ENTRY_UNBALANCED`."""
        return re.sub(r"(?<=[a-z])(?=[A-Z0-9])", "_", type(self).__name__).upper()

    def within(self, place: str) -> "Refusal":
        """The same refusal of a field that is part of another: `amount` within `postings[2]`."""
        field = f"{place}.{self.facts['field']}" if "field" in self.facts else place
        return type(self)(f"{place}: {self.message}", **(self.facts | {"field": field}))


# --- the groups, one gRPC code each -------------------------------------------------------------------


class Invalid(Refusal):
    """The request can never be right: INVALID_ARGUMENT."""


class NotThere(Refusal):
    """What the request names does not exist: NOT_FOUND."""


class AlreadyThere(Refusal):
    """What the request would make exists already: ALREADY_EXISTS."""


class NotAllowedNow(Refusal):
    """The books as they stand do not allow it: FAILED_PRECONDITION."""


class TryAgain(Refusal):
    """The service cannot answer now; the same request may succeed later: UNAVAILABLE."""


class TooMuch(Refusal):
    """More than the service takes at once: RESOURCE_EXHAUSTED."""


class Unproven(Refusal):
    """Nobody knows who calls: UNAUTHENTICATED."""


class Forbidden(Refusal):
    """The caller may not do this, whether or not what it names exists: PERMISSION_DENIED."""


# --- the request's form -------------------------------------------------------------------------------


class RequestUndecodable(Invalid):
    """The bytes are not the message: truncated, or text that is not UTF-8."""


class FieldMissing(Invalid):
    """A required field is empty."""


class TextInvalid(Invalid):
    """A text is too long or holds characters it must not hold."""


class DateInvalid(Invalid):
    """Not a date of the calendar, written YYYY-MM-DD."""


class CurrencyUnknown(Invalid):
    """Not a currency of ISO 4217."""


class AmountInvalid(Invalid):
    """Zero, negative, unreadable or beyond the largest amount."""


class AmountTooPrecise(Invalid):
    """More digits than the currency has minor units."""


class SideMissing(Invalid):
    """A posting that is neither a debit nor a credit."""


class PostingCountInvalid(Invalid):
    """Fewer than two postings, or more than an entry may have."""


class EntryUnbalanced(Invalid):
    """Debits and credits differ in a currency."""


class BatchTooLarge(Invalid):
    """More entries or postings than one batch may hold."""


class AccountCodeInvalid(Invalid):
    """Not an account code."""


class PageInvalid(Invalid):
    """A page token of another query, or a page size out of range."""


class SessionAmountsInvalid(Invalid):
    """The patient's share exceeds the allowed amount, or the session earns nobody anything."""


class CurrenciesMixed(Invalid):
    """The amounts of one request are in different currencies."""


class ChoiceInvalid(Invalid):
    """A number that stands for none of a field's choices."""


class FieldsContradict(Invalid):
    """A field inside a proposal says otherwise than the proposal."""


# --- what is not there --------------------------------------------------------------------------------


class BookNotFound(NotThere):
    """No such book."""


class AccountNotFound(NotThere):
    """No such account, and no rule that opens it."""


class EntryNotFound(NotThere):
    """No such entry in this book."""


class ClaimNotFound(NotThere):
    """Nothing is open, or absorbed, under this claim."""


class DeliveryNotFound(NotThere):
    """No file with these bytes was delivered to the book."""


class RemittanceNotFound(NotThere):
    """No such remittance in this book."""


class ProposalNotFound(NotThere):
    """No such proposal in this book."""


# --- what is there already ----------------------------------------------------------------------------


class BookExists(AlreadyThere):
    """The book is open already, with other terms."""


class AccountExists(AlreadyThere):
    """The account is open already, with other terms."""


class IdempotencyKeyReused(AlreadyThere):
    """The key was used for another request."""


class EntryAlreadyReversed(AlreadyThere):
    """An entry is reversed once."""


# --- what the books do not allow now ------------------------------------------------------------------


class AccountClosed(NotAllowedNow):
    """Nothing is posted to a closed account."""


class AccountCurrencyDiffers(NotAllowedNow):
    """The account is kept in another currency."""


class BalanceLimitPassed(NotAllowedNow):
    """The account's balance would go to the side on which it must not stand."""


class ItemMissing(NotAllowedNow):
    """A posting to this account must name the open item it opens or settles."""


class AccountNotAtZero(NotAllowedNow):
    """Only an account at zero can be closed."""


class PayableExceeded(NotAllowedNow):
    """More than is payable to the provider."""


class ClaimExceeded(NotAllowedNow):
    """More than is open, or absorbed, on the claim."""


class PayerAmbiguous(NotAllowedNow):
    """The claim is open with several payers and the request names none."""


class AccountCodeAmbiguous(NotAllowedNow):
    """An open account has this code but for upper and lower case."""


class TotalOutOfRange(NotAllowedNow):
    """An account's total would pass what 63 bits hold."""


class ReversalNotReversible(NotAllowedNow):
    """A reversal is not reversed; post the entry anew."""


class ApprovalNeeded(NotAllowedNow):
    """More than one person may ask for alone: a second one must approve it."""


class ProviderChargingOff(NotAllowedNow):
    """The book charges no provider for a fault of its own."""


class WorklistItemChanged(NotAllowedNow):
    """Another has changed the item since it was seen."""


class WorklistItemClosed(NotAllowedNow):
    """The item is closed: nobody need do anything about it."""


class WorklistActionRefused(NotAllowedNow):
    """Nothing of the kind can be done about an item of this reason."""


class WriteOffAboveCap(NotAllowedNow):
    """More than the book lets anybody write off."""


class ProposalDecided(NotAllowedNow):
    """The proposal was decided before, by another or otherwise."""


class ProposalDiffers(NotAllowedNow):
    """The hash that is named is not the proposal's: something else was seen."""


class ProposalOutdated(NotAllowedNow):
    """The proposal would no longer become what was shown."""


# --- remittance files ---------------------------------------------------------------------------------


class FileEmpty(Invalid):
    """The stream holds no bytes."""


class FileNotAn835(Invalid):
    """The file is not an X12 835."""


class FileTruncated(Invalid):
    """The file ends before its first remittance begins."""


class FileSegmentTooLong(Invalid):
    """A segment is longer than any 835 segment can be."""


class FileTooLarge(Invalid):
    """The file is larger than the service takes."""


class StreamMisordered(Invalid):
    """The stream does not begin with a header, or holds two."""


# --- reading ------------------------------------------------------------------------------------------


class TimeInvalid(Invalid):
    """Not a time that can be told: outside the years 1 to 9999."""


class NumberInvalid(Invalid):
    """Not the number of an entry: below zero."""


class TimeInFuture(NotAllowedNow):
    """What will be known by then is not known yet."""


class NumberBeyondHead(NotAllowedNow):
    """The book has no such entry yet."""


class ReplicaBehind(TryAgain):
    """The replica that answers reads has not got this entry yet."""


class ReplicaUnavailable(TryAgain):
    """The replica that answers reads does not answer. Posting goes on."""


class WatchEnded(TryAgain):
    """The service stops; the watcher resumes after the last number it received."""


# --- the service itself -------------------------------------------------------------------------------


class DatabaseUnavailable(TryAgain):
    """The database does not answer. Nothing was recorded."""


class OutcomeUnknown(TryAgain):
    """The connection was lost at commit. The same idempotency key gives the answer on retry."""


class QueueFull(TooMuch):
    """Too many requests wait for this book."""


class CallsTooMany(TooMuch):
    """The caller has too many calls in flight."""


class BooksUnguarded(TryAgain):
    """A guard of the books is off, so nothing is written until a person has put it back."""


class ServerStopping(TryAgain):
    """The server stops. Nothing was recorded; another server answers, or its next start."""


class CallerNotAuthenticated(Unproven):
    """No certificate or token, or none that is valid here, or a caller that nobody has named."""


class CallNotPermitted(Forbidden):
    """The caller has no role in this book that may call the method."""


class MakerIsChecker(Forbidden):
    """Whoever has made a proposal does not decide on it."""


class NotTheMaker(Forbidden):
    """Only who has made a proposal withdraws it."""


# --- allowances ---------------------------------------------------------------------------------------


class AllowancePolicyMissing(NotAllowedNow):
    """There is no policy for allowances, or it is off."""


class AllowanceUnchanged(NotAllowedNow):
    """What stands is what is needed: there is nothing to post."""


class AllowanceMonthOpen(NotAllowedNow):
    """The month is not over."""


class AllowanceTermsInvalid(Invalid):
    """Ages that do not rise from 0, or a number that is out of range."""


class AllowanceNotFound(NotThere):
    """No allowance was posted for this month."""


class CodeMeaningRefused(Invalid):
    """A code cannot mean this: what another payer has paid is no write-off."""


class NextPayerUnknown(NotAllowedNow):
    """No payer of the claim comes after this one."""


class DenialNotFound(NotThere):
    """The payer has denied no such claim."""


class DenialStateRefused(NotAllowedNow):
    """A denial in its state does not go where it is sent."""


class DenialPolicyNotFound(NotThere):
    """The book has no policy of this name."""


class DenialPolicyOff(NotAllowedNow):
    """The policy is off."""


class FileKeyUnknown(NotAllowedNow):
    """A file is sealed under a key that the service was not given."""


class FileDamaged(NotAllowedNow):
    """The bytes of a file that are kept are not those that came."""


# --- months of a book ---------------------------------------------------------------------------------


class MonthInvalid(Invalid):
    """Not a month of the calendar, written YYYY-MM."""


class PeriodNotFound(NotThere):
    """The month has no such version."""


class PeriodSoftClosed(NotAllowedNow):
    """The month is soft-closed: only the finance team posts into it, and says why."""


class PeriodClosed(NotAllowedNow):
    """Nothing may be effective in the month any more."""


class PeriodOpen(NotAllowedNow):
    """The month is open, and only another can be reopened."""


class PeriodOutOfOrder(NotAllowedNow):
    """Months close in their order, and open again from the last one."""


class PeriodNotReady(NotAllowedNow):
    """Something stands in the way of the close that nobody has taken responsibility for."""


# --- proof --------------------------------------------------------------------------------------------


class SigningKeyMissing(NotAllowedNow):
    """The service was given no key to sign checkpoints with. Posting goes on."""


class HistoryRewritten(NotAllowedNow):
    """The entries are not those that an earlier checkpoint signed, or are not all there."""


class CheckpointNotFound(NotThere):
    """No such checkpoint in this book, or none at all."""


class TreeSizeInvalid(Invalid):
    """The tree of this size does not hold what is to be proved."""


# --- the bank -----------------------------------------------------------------------------------------


class FileNoStatement(Invalid):
    """The file is neither a BAI2 nor a CAMT.053 statement that can be read."""


class ExceptionNotFound(NotThere):
    """The book has no such exception."""


class ClaimPaymentNotFound(NotThere):
    """The remittance has no such claim payment."""


class ExceptionWithoutCandidates(NotAllowedNow):
    """The exception is about neither a claim payment nor a deposit."""


class DepositNotFound(NotThere):
    """The book has no such deposit."""


class DepositExceeded(NotAllowedNow):
    """More than is unapplied of the deposit."""


class ClearingExceeded(NotAllowedNow):
    """More than the remittance waits for."""


class RemittanceNotSettled(NotAllowedNow):
    """Nothing of the remittance is in the books, so that no money can be applied to it."""


class ApplicationExceeded(NotAllowedNow):
    """More than was applied of the deposit to the remittance."""


# --- claim payments matched by hand -------------------------------------------------------------------


class ClaimPaymentNotWaiting(NotAllowedNow):
    """It does not wait in suspense, or not any more: somebody or a rule was quicker."""


class ClaimPaymentNotMatched(NotAllowedNow):
    """It has no claim from which it could be taken, or was taken back meanwhile."""


class MatchRefused(NotAllowedNow):
    """The claim cannot have this payment: never billed to its payer, or the payment cannot be read."""


class MatchPartsDiffer(Invalid):
    """The parts are not what was paid, or name a claim twice."""


class MatchProposed(NotAllowedNow):
    """A proposal waits on this claim payment."""


class MatchProposalNotFound(NotThere):
    """No such proposal waits for a second person."""


class ClaimPaymentNotReversal(NotAllowedNow):
    """It takes nothing back: its CLP02 is not 22."""


class OriginalNotPosted(NotAllowedNow):
    """What is to be taken back has no claim: it waits in suspense, posts nothing, or is a reversal itself."""


class OriginalTakenBack(NotAllowedNow):
    """What is to be taken back was taken back before, by a reversal or by hand."""


class OriginalOfAnotherPayer(NotAllowedNow):
    """What is to be taken back was another payer's."""


class ReversalAmountsDiffer(NotAllowedNow):
    """A reversal takes back exactly what was paid and charged, or nothing."""


class ClaimMovedMeanwhile(NotAllowedNow):
    """The claim of what a reversal took back went on since: it cannot be as it was before."""


# --- what was known of the mail -----------------------------------------------------------------------


class HistoryNotKept(NotAllowedNow):
    """How the remittances of the book stood then was not kept yet."""

"""Who may call what: every method of the service with the roles that may call it, and whether it writes.

The server compares this table with the services it registers and does not start where one misses a row.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from google.protobuf.descriptor import ServiceDescriptor


class Role(StrEnum):
    """What a caller is to the books. A caller may have several, and others in other books."""

    POSTER = "poster"
    """Another system that records what happened, such as sessions."""
    FINANCE = "finance"
    """Runs reconciliation, pays providers, decides on denials, corrects."""
    APPROVER = "approver"
    """Approves what others propose, before it counts, and never what the caller has proposed itself."""
    AUDITOR = "auditor"
    """Reads everything, has checkpoints signed, and changes nothing."""
    OPERATOR = "operator"
    """Runs the service and opens books."""


@dataclass(frozen=True, slots=True)
class Right:
    """Which roles may call a method; `writes` where it can change the books."""

    roles: frozenset[Role]
    writes: bool = False


_ANYBODY = Right(frozenset(Role))
_READERS = Right(frozenset({Role.POSTER, Role.FINANCE, Role.APPROVER, Role.AUDITOR}))
_REPORTS = Right(frozenset({Role.FINANCE, Role.APPROVER, Role.AUDITOR}))
_FILES = Right(frozenset({Role.FINANCE, Role.AUDITOR}), writes=True)  # a read is recorded
_RECORDS = Right(frozenset({Role.POSTER, Role.FINANCE}), writes=True)
_DECIDES = Right(frozenset({Role.FINANCE}), writes=True)
_LIMITS = Right(frozenset({Role.FINANCE, Role.APPROVER}), writes=True)
_APPROVES = Right(frozenset({Role.APPROVER}), writes=True)
_PROVES = Right(frozenset({Role.FINANCE, Role.AUDITOR}), writes=True)  # a checkpoint changes no entry
_OPENS = Right(frozenset({Role.OPERATOR}), writes=True)

RIGHTS: dict[str, Right] = {
    "/ledger.v1.AccountsService/OpenBook": _OPENS,
    "/ledger.v1.AccountsService/ListBooks": _ANYBODY,
    "/ledger.v1.AccountsService/OpenAccount": _DECIDES,
    "/ledger.v1.AccountsService/GetAccount": _READERS,
    "/ledger.v1.AccountsService/ListAccounts": _READERS,
    "/ledger.v1.AccountsService/CloseAccount": _DECIDES,
    "/ledger.v1.AccountsService/GetBalance": _READERS,
    "/ledger.v1.PostingsService/PostEntry": _RECORDS,
    "/ledger.v1.PostingsService/PostEntries": _RECORDS,
    "/ledger.v1.PostingsService/StreamEntries": _RECORDS,
    "/ledger.v1.PostingsService/ReverseEntry": _DECIDES,
    "/ledger.v1.PostingsService/GetEntry": _READERS,
    "/ledger.v1.PostingsService/ListEntries": _READERS,
    "/ledger.v1.PostingsService/WatchEntries": _READERS,
    "/ledger.v1.PostingsService/RecordSession": _RECORDS,
    "/ledger.v1.PostingsService/PayProvider": _DECIDES,
    "/ledger.v1.PostingsService/AbsorbDenial": _DECIDES,
    "/ledger.v1.PostingsService/RecoverDenial": _DECIDES,
    "/ledger.v1.ApprovalsService/SetApprovalLimit": _LIMITS,
    "/ledger.v1.ApprovalsService/ListApprovalLimits": _REPORTS,
    "/ledger.v1.ApprovalsService/Propose": _DECIDES,
    "/ledger.v1.ApprovalsService/GetProposal": _REPORTS,
    "/ledger.v1.ApprovalsService/ListProposals": _REPORTS,
    "/ledger.v1.ApprovalsService/Approve": _APPROVES,
    "/ledger.v1.ApprovalsService/Decline": _APPROVES,
    "/ledger.v1.ApprovalsService/Withdraw": _DECIDES,
    "/ledger.v1.PayCyclesService/SetPayCalendar": _DECIDES,
    "/ledger.v1.PayCyclesService/GetPayCalendar": _REPORTS,
    "/ledger.v1.PayCyclesService/RunPayCycle": _DECIDES,
    "/ledger.v1.PayCyclesService/ListPayCycles": _REPORTS,
    "/ledger.v1.PayCyclesService/GetPayCycle": _REPORTS,
    "/ledger.v1.PayCyclesService/HoldProvider": _DECIDES,
    "/ledger.v1.PayCyclesService/ReleaseProvider": _DECIDES,
    "/ledger.v1.PayCyclesService/SetPayee": _DECIDES,
    "/ledger.v1.PayCyclesService/GetPayee": _REPORTS,
    "/ledger.v1.PayCyclesService/GetPaymentFile": _DECIDES,  # bank accounts, and a read is recorded
    "/ledger.v1.PayCyclesService/MarkSent": _DECIDES,
    "/ledger.v1.PayCyclesService/MarkSettled": _DECIDES,
    "/ledger.v1.PayCyclesService/ReturnPayment": _DECIDES,
    "/ledger.v1.PayCyclesService/GetProviderStatement": _REPORTS,
    "/ledger.v1.AllowancesService/SetAllowancePolicy": _DECIDES,
    "/ledger.v1.AllowancesService/ListAllowancePolicies": _REPORTS,
    "/ledger.v1.AllowancesService/PreviewAllowance": _REPORTS,
    "/ledger.v1.AllowancesService/PostAllowance": _DECIDES,
    "/ledger.v1.AllowancesService/GetAllowance": _REPORTS,
    "/ledger.v1.ReportsService/GetTrialBalance": _REPORTS,
    "/ledger.v1.ReportsService/GetStatement": _REPORTS,
    "/ledger.v1.ReportsService/GetReceivablesAging": _REPORTS,
    "/ledger.v1.ReportsService/GetProviderPayables": _REPORTS,
    "/ledger.v1.ReportsService/GetSessionMargin": _REPORTS,
    "/ledger.v1.PeriodsService/SoftClosePeriod": _DECIDES,
    "/ledger.v1.PeriodsService/ClosePeriod": _DECIDES,
    "/ledger.v1.PeriodsService/GetPeriod": _REPORTS,
    "/ledger.v1.PeriodsService/ListPeriods": _READERS,
    "/ledger.v1.PeriodsService/GetServiceMonths": _REPORTS,
    "/ledger.v1.AuditService/WriteCheckpoint": _PROVES,
    "/ledger.v1.AuditService/GetCheckpoint": _REPORTS,
    "/ledger.v1.AuditService/ListCheckpoints": _REPORTS,
    "/ledger.v1.AuditService/GetInclusionProof": _REPORTS,
    "/ledger.v1.AuditService/GetConsistencyProof": _REPORTS,
    "/ledger.v1.AuditService/ListVerifierKeys": _REPORTS,
    "/ledger.v1.ReportsService/GetBalanceSheet": _REPORTS,
    "/ledger.v1.ReportsService/GetIncomeStatement": _REPORTS,
    "/ledger.v1.ReportsService/GetReceivablesRollforward": _REPORTS,
    "/ledger.v1.ReportsService/GetLagTriangle": _REPORTS,
    "/ledger.v1.ReportsService/GetPayerLag": _REPORTS,
    "/ledger.v1.ReportsService/GetAdvanceExposure": _REPORTS,
    "/ledger.v1.ReportsService/GetActors": _REPORTS,
    "/ledger.v1.ReportsService/ListGeneralLedger": _REPORTS,
    "/ledger.v1.ReportsService/ListEntriesByActor": _REPORTS,
    "/ledger.v1.ReportsService/ListReversedEntries": _REPORTS,
    "/ledger.v1.ReportsService/ListBackDatedEntries": _REPORTS,
    "/ledger.v1.ReportsService/ListManualEntries": _REPORTS,
    "/reconciliation.v1.ReconciliationService/IngestRemittance": _RECORDS,
    "/reconciliation.v1.ReconciliationService/ReadDelivery": _FILES,
    "/reconciliation.v1.ReconciliationService/GetRemittance": _REPORTS,
    "/reconciliation.v1.ReconciliationService/ListRemittances": _REPORTS,
    "/reconciliation.v1.ReconciliationService/ListExceptions": _REPORTS,
    "/reconciliation.v1.ReconciliationService/IdentifyPayer": _DECIDES,
    "/reconciliation.v1.ReconciliationService/IdentifyPayee": _DECIDES,
    "/reconciliation.v1.ReconciliationService/ListOpenBalances": _REPORTS,
    "/reconciliation.v1.ReconciliationService/GetRemittanceSummary": _REPORTS,
    "/reconciliation.v1.ReconciliationService/GetAutomaticRate": _REPORTS,
    "/reconciliation.v1.ReconciliationService/GetUnderpayments": _REPORTS,
    "/reconciliation.v1.ReconciliationService/ListUnderpaidClaims": _REPORTS,
    "/ledger.v1.ChargesService/SetProviderCharging": _APPROVES,
    "/ledger.v1.ChargesService/GetProviderCharging": _REPORTS,
    "/ledger.v1.WriteOffsService/SetWriteOffCap": _APPROVES,
    "/ledger.v1.WriteOffsService/ListWriteOffCaps": _REPORTS,
    "/reconciliation.v1.CandidatesService/ListCandidates": _REPORTS,
    "/reconciliation.v1.CodesService/SetAdjustmentCode": _DECIDES,
    "/reconciliation.v1.CodesService/SetProviderLevelCode": _DECIDES,
    "/reconciliation.v1.CodesService/ListCodes": _REPORTS,
    "/reconciliation.v1.CoverageService/RecordCover": _DECIDES,
    "/reconciliation.v1.CoverageService/ListCovers": _REPORTS,
    "/reconciliation.v1.CoverageService/ForwardClaim": _DECIDES,
    "/reconciliation.v1.MatchesService/MatchClaimPayment": _DECIDES,
    "/reconciliation.v1.MatchesService/MatchReversal": _DECIDES,
    "/reconciliation.v1.MatchesService/ApproveMatch": _APPROVES,
    "/reconciliation.v1.MatchesService/DeclineMatch": _LIMITS,
    "/reconciliation.v1.MatchesService/UnmatchClaimPayment": _DECIDES,
    "/reconciliation.v1.MatchesService/ListMatches": _REPORTS,
    "/reconciliation.v1.MatchesService/SetMatchLimit": _APPROVES,
    "/reconciliation.v1.MatchesService/ListMatchLimits": _REPORTS,
    "/reconciliation.v1.DenialsService/ListDenials": _REPORTS,
    "/reconciliation.v1.DenialsService/GetDenial": _REPORTS,
    "/reconciliation.v1.DenialsService/GetDenialsByCode": _REPORTS,
    "/reconciliation.v1.DenialsService/AppealDenial": _DECIDES,
    "/reconciliation.v1.DenialsService/ResubmitDenial": _DECIDES,
    "/reconciliation.v1.DenialsService/AbsorbDenied": _DECIDES,
    "/reconciliation.v1.DenialsService/SetDenialPolicy": _DECIDES,
    "/reconciliation.v1.DenialsService/ListDenialPolicies": _REPORTS,
    "/reconciliation.v1.DenialsService/ApplyDenialPolicy": _DECIDES,
    "/reconciliation.v1.WorklistService/ListItems": _REPORTS,
    "/reconciliation.v1.WorklistService/GetItem": _REPORTS,
    "/reconciliation.v1.WorklistService/AssignItem": _DECIDES,
    "/reconciliation.v1.WorklistService/CloseItem": _DECIDES,
    "/reconciliation.v1.WorklistService/SendBackItem": _DECIDES,
    "/reconciliation.v1.WorklistService/AbsorbItem": _DECIDES,
    "/reconciliation.v1.WorklistService/WriteOffItem": _DECIDES,
    "/reconciliation.v1.BankService/RecordDeposit": _RECORDS,
    "/reconciliation.v1.BankService/IngestBankStatement": _RECORDS,
    "/reconciliation.v1.BankService/ListBankStatements": _REPORTS,
    "/reconciliation.v1.BankService/GetDeposit": _REPORTS,
    "/reconciliation.v1.BankService/ListDeposits": _REPORTS,
    "/reconciliation.v1.BankService/ApplyDeposit": _DECIDES,
    "/reconciliation.v1.BankService/UnapplyDeposit": _DECIDES,
    "/reconciliation.v1.BankService/SetDepositPolicy": _DECIDES,
    "/reconciliation.v1.BankService/ListDepositPolicies": _REPORTS,
    "/reconciliation.v1.BankService/GetCashInTransit": _REPORTS,
    "/reconciliation.v1.BankService/GetUnappliedCash": _REPORTS,
}


class RightsIncomplete(Exception):
    """The table and the services differ; the message names the methods."""


def refuse_incomplete(services: Iterable[ServiceDescriptor]) -> None:
    """Raises RightsIncomplete where a method has no row, or a row no method."""
    served = {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}
    if differing := sorted(served ^ RIGHTS.keys()):
        raise RightsIncomplete(f"service/rights.py and the services differ in {', '.join(differing)}")

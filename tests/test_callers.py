"""Who gets in, and what each caller may do: every cell of role and method, every kind of proof that is wrong."""

import base64
import hmac
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue
from typing import Any

import grpc
import jwt
import psycopg
import pytest
import serving
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from google.protobuf import message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from serving import Ledger, Loop, Refused, cr, dr, entry, refused
from test_command import connected
from test_command import running as running_command

from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import approvals_pb2 as ap
from ledger.v1 import postings_pb2 as po
from service import rights, settings
from service.admission import admission
from service.identity import UNNAMED, believed, read_callers
from service.rights import RIGHTS, Right, RightsIncomplete, Role, refuse_incomplete
from service.server import DESCRIPTORS, start
from service.settings import SettingRefused, Settings

OWN, OTHER = "own", "other"
ISSUER, AUDIENCE = "https://login.example", "session-ledger"
UNPROVEN = ("UNAUTHENTICATED", "CALLER_NOT_AUTHENTICATED")
NOT_PERMITTED = ("PERMISSION_DENIED", "CALL_NOT_PERMITTED")

# p poster, f finance, a approver, u auditor, o operator: who may call what. Written here once more on purpose.
TABLE = """
    OpenBook             . . . . o
    ListBooks            p f a u o
    OpenAccount          . f . . .
    GetAccount           p f a u .
    ListAccounts         p f a u .
    CloseAccount         . f . . .
    GetBalance           p f a u .
    PostEntry            p f . . .
    PostEntries          p f . . .
    StreamEntries        p f . . .
    ReverseEntry         . f . . .
    GetEntry             p f a u .
    ListEntries          p f a u .
    WatchEntries         p f a u .
    RecordSession        p f . . .
    PayProvider          . f . . .
    AbsorbDenial         . f . . .
    RecoverDenial        . f . . .
    SetApprovalLimit     . f a . .
    ListApprovalLimits   . f a u .
    Propose              . f . . .
    GetProposal          . f a u .
    ListProposals        . f a u .
    Approve              . . a . .
    Decline              . . a . .
    Withdraw             . f . . .
    SetPayCalendar       . f . . .
    GetPayCalendar       . f a u .
    RunPayCycle          . f . . .
    ListPayCycles        . f a u .
    GetPayCycle          . f a u .
    HoldProvider         . f . . .
    ReleaseProvider      . f . . .
    SetPayee             . f . . .
    GetPayee             . f a u .
    GetPaymentFile       . f . . .
    MarkSent             . f . . .
    MarkSettled          . f . . .
    ReturnPayment        . f . . .
    GetProviderStatement . f a u .
    SetAllowancePolicy   . f . . .
    ListAllowancePolicies . f a u .
    PreviewAllowance     . f a u .
    PostAllowance        . f . . .
    GetAllowance         . f a u .
    GetTrialBalance      . f a u .
    GetStatement         . f a u .
    GetReceivablesAging  . f a u .
    GetProviderPayables  . f a u .
    GetSessionMargin     . f a u .
    SoftClosePeriod      . f . . .
    ClosePeriod          . f . . .
    GetPeriod            . f a u .
    ListPeriods          p f a u .
    GetServiceMonths     . f a u .
    WriteCheckpoint      . f . u .
    GetCheckpoint        . f a u .
    ListCheckpoints      . f a u .
    GetInclusionProof    . f a u .
    GetConsistencyProof  . f a u .
    ListVerifierKeys     . f a u .
    GetBalanceSheet      . f a u .
    GetIncomeStatement   . f a u .
    GetReceivablesRollforward . f a u .
    GetLagTriangle       . f a u .
    GetPayerLag          . f a u .
    GetAdvanceExposure   . f a u .
    GetActors            . f a u .
    ListGeneralLedger    . f a u .
    ListEntriesByActor   . f a u .
    ListReversedEntries  . f a u .
    ListBackDatedEntries . f a u .
    ListManualEntries    . f a u .
    IngestRemittance     p f . . .
    ReadDelivery         . f . u .
    GetRemittance        . f a u .
    ListRemittances      . f a u .
    ListExceptions       . f a u .
    IdentifyPayer        . f . . .
    IdentifyPayee        . f . . .
    ListOpenBalances     . f a u .
    GetRemittanceSummary . f a u .
    GetAutomaticRate     . f a u .
    GetUnderpayments     . f a u .
    ListUnderpaidClaims  . f a u .
    SetProviderCharging  . . a . .
    GetProviderCharging  . f a u .
    ListCandidates       . f a u .
    SetAdjustmentCode    . f . . .
    SetProviderLevelCode . f . . .
    ListCodes            . f a u .
    RecordCover          . f . . .
    ListCovers           . f a u .
    ForwardClaim         . f . . .
    ListDenials          . f a u .
    GetDenial            . f a u .
    GetDenialsByCode     . f a u .
    AppealDenial         . f . . .
    ResubmitDenial       . f . . .
    AbsorbDenied         . f . . .
    SetDenialPolicy      . f . . .
    ListDenialPolicies   . f a u .
    ApplyDenialPolicy    . f . . .
    ListItems            . f a u .
    GetItem              . f a u .
    AssignItem           . f . . .
    CloseItem            . f . . .
    SendBackItem         . f . . .
    AbsorbItem           . f . . .
    WriteOffItem         . f . . .
    SetWriteOffCap       . . a . .
    ListWriteOffCaps     . f a u .
    RecordDeposit        p f . . .
    IngestBankStatement  p f . . .
    ListBankStatements   . f a u .
    GetDeposit           . f a u .
    ListDeposits         . f a u .
    ApplyDeposit         . f . . .
    UnapplyDeposit       . f . . .
    SetDepositPolicy     . f . . .
    ListDepositPolicies  . f a u .
    GetCashInTransit     . f a u .
    GetUnappliedCash     . f a u .
    MatchClaimPayment    . f . . .
    MatchReversal        . f . . .
    ApproveMatch         . . a . .
    DeclineMatch         . f a . .
    UnmatchClaimPayment  . f . . .
    ListMatches          . f a u .
    SetMatchLimit        . . a . .
    ListMatchLimits      . f a u .
"""
COLUMNS = tuple(Role)
MAY = {
    line.split()[0]: {role for role, cell in zip(COLUMNS, line.split()[1:], strict=True) if cell != "."}
    for line in TABLE.strip().splitlines()
}
METHODS = {
    method.name: (f"/{service.full_name}/{method.name}", method)
    for service in DESCRIPTORS
    for method in service.methods
}

ENDLESS = {"WatchEntries"}
"""Streams that end only when the caller or the service does."""


CALLERS_BROKEN: dict[str, str | None] = {
    "gone": None,
    "empty": "",
    "no TOML": "caller = [",
    "no role": "[[caller]]",
}


# --- keys, tokens, certificates -----------------------------------------------------------------------


@dataclass(frozen=True)
class Issuer:
    """Who issues tokens, and the file of its public keys."""

    key: rsa.RSAPrivateKey
    file: Path

    def token(self, subject: str, **changed: Any) -> str:
        """A token with nothing wrong but what is changed; None takes a claim away."""
        now = datetime.now(UTC)
        claims = {"sub": subject, "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + timedelta(minutes=5)}
        claims = {name: value for name, value in (claims | changed).items() if value is not None}
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": "one"})

    def publish(self) -> None:
        """Writes the public key where the server reads it."""
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        self.file.write_text(json.dumps({"keys": [public | {"kid": "one", "use": "sig", "alg": "RS256"}]}))


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class Authority:
    """Signs certificates."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @staticmethod
    def new(name: str) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        return Authority(key, certificate(name, key.public_key(), name, key, authority=True))

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """A private key and its certificate, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        signed = certificate(name, key.public_key(), str(issuer), self.key, authority=False)
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return (
            key.private_bytes(serialization.Encoding.PEM, *form),
            signed.public_bytes(serialization.Encoding.PEM),
        )


def certificate(
    name: str, public: ec.EllipticCurvePublicKey, issuer: str, key: ec.EllipticCurvePrivateKey, *, authority: bool
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )


# --- the table ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("callers")


@pytest.fixture(scope="module")
def issuer(folder: Path) -> Issuer:
    made = Issuer(new_key(), folder / "keys.json")
    made.publish()
    return made


@pytest.fixture(scope="module")
def callers(folder: Path) -> Path:
    """One caller a role, which has it in one book; and one who has every role in every book."""
    own = [f'[[caller]]\nname = "{role}"\nroles = ["{role}"]\nbooks = ["{OWN}"]\n' for role in Role]
    roles = json.dumps([*Role])
    every = f'[[caller]]\nname = "everybody"\nroles = {roles}\nbooks = ["*"]\n'
    path = folder / "callers.toml"
    path.write_text("\n".join([*own, every]))
    return path


@pytest.fixture(scope="module")
def known(issuer: Issuer, callers: Path) -> Settings:
    return Settings(jwt_keys=str(issuer.file), jwt_issuer=ISSUER, jwt_audience=AUDIENCE, callers=callers)


@pytest.fixture(scope="module")
def door(loop: Loop, server: Ledger, known: Settings, issuer: Issuer) -> Iterator[Ledger]:
    """A second server on the same database, with a door; two books are open, with an entry each."""
    for book in (OWN, OTHER):
        serving.open_book(server, book)
        server.of(book).post("2026-04-08", dr("Assets:Cash", "1.00"), cr("Liabilities:UnappliedCash", "1.00"))
    with serving.serving(loop, server.url, admission(known, "127.0.0.1:0", insecure=False)) as running:
        yield running


def asked(door: Ledger, name: str, book: str, *metadata: tuple[str, str]) -> Refused | None:
    """Calls a method with nothing in the request but the book; None where it answered."""
    path, method = METHODS[name]
    kind = message_factory.GetMessageClass(method.input_type)
    call = _multicallable(door.channel, path, method)
    request = _about(kind(), book)
    try:
        asked_for = iter([request]) if method.client_streaming else request
        answer = call(asked_for, metadata=metadata, timeout=serving.PATIENCE_SECONDS)
        if name in ENDLESS:
            next(answer)
            answer.cancel()
        elif method.server_streaming:
            list(answer)
    except grpc.RpcError as error:
        return serving.refusal(error)
    return None


def _multicallable(channel: grpc.Channel, path: str, method: Any) -> Any:
    form = {
        (False, False): channel.unary_unary,
        (True, False): channel.stream_unary,
        (False, True): channel.unary_stream,
        (True, True): channel.stream_stream,
    }[method.client_streaming, method.server_streaming]
    return form(path, request_serializer=lambda message: message.SerializeToString())


def _about(request: Any, book: str) -> Any:
    names = request.DESCRIPTOR.fields_by_name
    if "header" in names:
        request.header.book = book
    elif "book" in names:
        request.book = book
    return request


def bearer(issuer: Issuer, subject: str, **changed: Any) -> tuple[str, str]:
    return "authorization", f"Bearer {issuer.token(subject, **changed)}"


def permitted(found: Refused | None) -> bool:
    assert found is None or found.code != "UNAUTHENTICATED", found
    assert found is None or found.code not in {"INTERNAL", "UNKNOWN", "UNIMPLEMENTED"}, found
    return found is None or found.code != "PERMISSION_DENIED"


@pytest.mark.parametrize("name", sorted(METHODS))
@pytest.mark.parametrize("role", Role)
def test_every_cell(door: Ledger, issuer: Issuer, role: Role, name: str) -> None:
    """In its own book as the table says; in another book nothing at all."""
    assert permitted(asked(door, name, OWN, bearer(issuer, role))) is (role in MAY[name])
    if name != "ListBooks":
        for book in (OTHER, "no-such-book"):
            found = asked(door, name, book, bearer(issuer, role))
            assert found is not None
            assert (found.code, found.reason) == NOT_PERMITTED
            assert found.message == f"{role} may not call {name} there"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_nobody_calls_anything(door: Ledger, name: str) -> None:
    for book in (OWN, "no-such-book"):
        found = asked(door, name, book)
        assert found is not None
        assert (found.code, found.reason) == UNPROVEN


def test_the_table_has_every_method() -> None:
    assert MAY.keys() == METHODS.keys()


def test_books_are_listed_to_those_who_may_know_of_them(door: Ledger, issuer: Issuer) -> None:
    def listed(name: str) -> set[str]:
        answer = door.accounts.ListBooks(ac.ListBooksRequest(), metadata=[bearer(issuer, name)])
        return {book.book for book in answer.books}

    assert listed("auditor") == {OWN}
    assert listed("everybody") >= {OWN, OTHER}


def test_a_method_without_a_row_keeps_the_server_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_incomplete(DESCRIPTORS)
    fewer = {name: right for name, right in RIGHTS.items() if not name.endswith("/PostEntry")}
    monkeypatch.setattr(rights, "RIGHTS", fewer)
    with pytest.raises(RightsIncomplete, match="PostEntry"):
        refuse_incomplete(DESCRIPTORS)
    monkeypatch.setattr(rights, "RIGHTS", RIGHTS | {"/ledger.v1.PostingsService/Erase": Right(frozenset())})
    with pytest.raises(RightsIncomplete, match="Erase"):
        refuse_incomplete(DESCRIPTORS)


def test_the_actor_of_an_entry_is_who_proved_it(door: Ledger, issuer: Issuer) -> None:
    """Whatever else the caller calls itself."""
    asks = [bearer(issuer, "everybody"), ("ledger-actor", "somebody else")]
    door.accounts.OpenAccount(
        ac.OpenAccountRequest(book=OWN, code="Equity:Opening", currency_code="USD"), metadata=asks
    )
    lines = dr("Assets:Cash", "1.00"), cr("Equity:Opening", "1.00")
    posted = door.postings.PostEntry(
        po.PostEntryRequest(book=OWN, entry=entry("2026-04-08", *lines)), metadata=asks
    )
    assert posted.entry.actor == "everybody"


# --- tokens that are wrong ----------------------------------------------------------------------------


def ago(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


WRONG: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://elsewhere.example"},
    "another audience": {"aud": "another-service"},
    "expired": {"exp": ago(1)},
    "not valid yet": {"nbf": ago(-60)},
    "without an end": {"exp": None},
    "without an issuer": {"iss": None},
    "without an audience": {"aud": None},
    "without a subject": {"sub": None},
    "of nobody": {"sub": ""},
    "of somebody unknown": {"sub": "stranger"},
}


@pytest.mark.parametrize("case", WRONG)
def test_a_token_that_is_wrong(door: Ledger, issuer: Issuer, case: str) -> None:
    found = asked(door, "GetBalance", OWN, bearer(issuer, "everybody", **WRONG[case]))
    assert found is not None
    assert (found.code, found.reason, found.facts) == (*UNPROVEN, {})


def test_a_clock_that_is_off_a_little(door: Ledger, issuer: Issuer) -> None:
    """Half a minute of skew is usual: what ended 20 seconds ago is good still."""
    assert permitted(asked(door, "ListAccounts", OWN, bearer(issuer, "everybody", exp=ago(1 / 3))))


def forged(issuer: Issuer) -> dict[str, str]:
    """Tokens that nobody issued."""
    good = issuer.token("everybody")
    head, claims, signature = good.split(".")
    payload = jwt.decode(good, options={"verify_signature": False})
    public = issuer.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {
        "unsigned": jwt.encode(payload, None, algorithm="none", headers={"kid": "one"}),
        "signed with the public key as a secret": keyed_hash(public, claims),
        "signed by another key": jwt.encode(payload, new_key(), "RS256", headers={"kid": "one"}),
        "under a key nobody knows": jwt.encode(payload, issuer.key, "RS256", headers={"kid": "two"}),
        "without a key's name": jwt.encode(payload, issuer.key, "RS256"),
        "another algorithm of the same key": jwt.encode(payload, issuer.key, "RS512", headers={"kid": "one"}),
        "changed": f"{head}.{claims[:-2]}AA.{signature}",
        "without its signature": f"{head}.{claims}.",
        "no token": "hello",
        "empty": "",
        "of letters that are none": "a.b.c",
        "very long": "x" * 5_000,
    }


def keyed_hash(secret: bytes, claims: str) -> str:
    """The claims under HS256, by hand: the library that signs refuses to take a public key for a secret."""
    head = base64url(json.dumps({"alg": "HS256", "kid": "one", "typ": "JWT"}).encode())
    signed = f"{head}.{claims}"
    return f"{signed}.{base64url(hmac.digest(secret, signed.encode(), 'sha256'))}"


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def test_a_token_that_nobody_issued(door: Ledger, issuer: Issuer) -> None:
    for case, token in forged(issuer).items():
        found = asked(door, "GetBalance", OWN, ("authorization", f"Bearer {token}"))
        assert found is not None, case
        assert (found.code, found.reason) == UNPROVEN, case


@pytest.mark.parametrize(
    "metadata", [(), (("authorization", "Basic bWU6bWU="),), (("ledger-actor", "everybody"),)]
)
def test_what_is_no_token(door: Ledger, metadata: tuple[tuple[str, str], ...]) -> None:
    found = asked(door, "GetBalance", OWN, *metadata)
    assert found is not None
    assert (found.code, found.reason) == UNPROVEN


def test_a_new_key_is_found_when_a_token_names_it(
    loop: Loop, server: Ledger, known: Settings, folder: Path
) -> None:
    """The file may be there later than the server: the keys are read when a token names one."""
    late = Issuer(new_key(), folder / "late.json")
    opened = admission(known.model_copy(update={"jwt_keys": str(late.file)}), "127.0.0.1:0", insecure=False)
    with serving.serving(loop, server.url, opened) as running:
        late.publish()
        assert permitted(asked(running, "ListBooks", "", bearer(late, "everybody")))


# --- the callers file while the server runs -----------------------------------------------------------


def granted(path: Path, **roles: str) -> None:
    """Writes a callers file: name and role in the one book."""
    rows = [
        f'[[caller]]\nname = "{name}"\nroles = ["{role}"]\nbooks = ["{OWN}"]\n' for name, role in roles.items()
    ]
    path.write_text("\n".join(rows))


@pytest.fixture
def changing(loop: Loop, door: Ledger, known: Settings, tmp_path: Path) -> Iterator[tuple[Ledger, Path]]:
    """A server whose callers file changes: mia is in finance, abe approves."""
    path = tmp_path / "callers.toml"
    granted(path, mia="finance", abe="approver")
    opened = admission(changed(known, callers=path), "127.0.0.1:0", insecure=False)
    with serving.serving(loop, door.url, opened) as running:
        yield running, path


def test_who_is_taken_out_of_the_file_is_refused_at_once(
    changing: tuple[Ledger, Path], issuer: Issuer, server: Ledger
) -> None:
    """An approver who was removed approves nothing any more; one who was put in does. Nothing is restarted."""
    running, path = changing
    server.postings.RecordSession(serving.session("C1", book=OWN))
    asked = ap.ProposeRequest(book=OWN, idempotency_key=serving.key(), reason="end of month")
    asked.act.pay_provider.CopyFrom(serving.payout("ada", "1.00", book=OWN, idempotency_key=asked.idempotency_key))
    mia, abe, eve = ([bearer(issuer, name)] for name in ("mia", "abe", "eve"))
    found = running.approvals.Propose(asked, metadata=mia).proposal
    seen = ap.ApproveRequest(book=OWN, number=found.number, content_hash=found.content_hash, reason="seen")
    granted(path, mia="finance", eve="approver")
    gone = refused(lambda one: running.approvals.Approve(one, metadata=abe), seen)
    assert (gone.code, gone.reason) == UNPROVEN
    assert running.approvals.Approve(seen, metadata=eve).entry.actor == "mia"
    granted(path, mia="approver", eve="approver")
    lost = refused(lambda one: running.approvals.Propose(one, metadata=mia), asked)
    assert (lost.code, lost.reason) == NOT_PERMITTED


def test_finance_and_approver_in_one_approves_what_others_propose(
    changing: tuple[Ledger, Path], issuer: Issuer, server: Ledger
) -> None:
    running, path = changing
    path.write_text(
        "".join(
            f'[[caller]]\nname = "{name}"\nroles = ["finance", "approver"]\nbooks = ["{OWN}"]\n'
            for name in ("mia", "abe")
        )
    )
    server.postings.RecordSession(serving.session("C1", book=OWN))
    for maker, other in (("mia", "abe"), ("abe", "mia")):
        asked = ap.ProposeRequest(book=OWN, idempotency_key=serving.key(), reason="end of month")
        asked.act.pay_provider.CopyFrom(serving.payout("ada", "1.00", book="", idempotency_key=""))
        found = running.approvals.Propose(asked, metadata=[bearer(issuer, maker)]).proposal
        seen = ap.ApproveRequest(book=OWN, number=found.number, content_hash=found.content_hash, reason="seen")
        own = refused(lambda one, who=maker: running.approvals.Approve(one, metadata=[bearer(issuer, who)]), seen)
        assert (own.code, own.reason) == ("PERMISSION_DENIED", "MAKER_IS_CHECKER")
        assert running.approvals.Approve(seen, metadata=[bearer(issuer, other)]).entry.actor == maker


@pytest.mark.parametrize("case", CALLERS_BROKEN)
def test_a_file_that_breaks_changes_nothing(
    changing: tuple[Ledger, Path], issuer: Issuer, capfd: pytest.CaptureFixture[str], case: str
) -> None:
    """And the log says so, once; the next file that is right counts."""
    running, path = changing
    content = CALLERS_BROKEN[case]
    path.unlink() if content is None else path.write_text(content)
    for _ in range(3):
        assert permitted(calling(running, issuer, "abe"))
    assert capfd.readouterr().out.count("callers file refused") == 1
    granted(path, mia="finance")
    assert not permitted(calling(running, issuer, "mia", "GetBalance", OTHER))
    found = calling(running, issuer, "abe")
    assert found is not None
    assert (found.code, found.reason) == UNPROVEN


def calling(running: Ledger, issuer: Issuer, who: str, name: str = "ListBooks", book: str = "") -> Refused | None:
    return asked(running, name, book, bearer(issuer, who))


def test_a_hang_up_reads_the_file_again_and_stops_nothing(
    door: Ledger, server: Ledger, issuer: Issuer, callers: Path, tmp_path: Path
) -> None:
    """What an auditor reads afterwards is in the log too: who, what and of which book."""
    path = tmp_path / "callers.toml"
    path.write_text(callers.read_text())
    told = {"jwt_keys": str(issuer.file), "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "callers": str(path)}
    keys = f"test:{base64.b64encode(b'k' * 32).decode()}"
    serve = ("serve", "--listen", "127.0.0.1:0")
    with running_command(*serve, database_url=server.url, file_keys=keys, **told) as (process, said):
        assert process.stderr
        process.send_signal(signal.SIGHUP)
        line = next(line for line in process.stderr if "callers file" in line)
        assert json.loads(line)["event"] == "callers file read"
        with connected(said) as channel:
            there = serving.client(server.loop, server.url, channel)
            assert calling(there, issuer, "auditor", "ListEntries", OWN) is None
        line = next(line for line in process.stderr if "ListEntries" in line)
        read = ("/ledger.v1.PostingsService/ListEntries", "auditor", OWN, "OK")
        assert tuple(json.loads(line)[name] for name in ("method", "actor", "book", "code")) == read


# --- certificates -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new("authority")


@pytest.fixture(scope="module")
def mutual(folder: Path, authority: Authority, callers: Path) -> Settings:
    """Settings by which every client must have a certificate."""
    key, chain = authority.issue("localhost")
    paths = {"tls_key": key, "tls_certificate": chain, "tls_client_authority": authority.pem()}
    for name, content in paths.items():
        (folder / name).write_bytes(content)
    return Settings(**{name: folder / name for name in paths}, callers=callers)


def trusting(authority: Authority, pair: tuple[bytes, bytes] | None) -> grpc.ChannelCredentials:
    key, chain = pair or (None, None)
    return grpc.ssl_channel_credentials(authority.pem(), key, chain)


def test_a_certificate_names_the_caller(
    loop: Loop, server: Ledger, mutual: Settings, authority: Authority
) -> None:
    opened = admission(mutual, "0.0.0.0:0", insecure=False)
    own = trusting(authority, authority.issue("auditor"))
    with serving.serving(loop, server.url, opened, own) as running:
        assert permitted(asked(running, "ListBooks", ""))
        found = asked(running, "PostEntry", OWN)
        assert found is not None
        assert (found.code, found.reason) == NOT_PERMITTED


def strangers(authority: Authority) -> dict[str, tuple[tuple[bytes, bytes] | None, str]]:
    return {
        "without a certificate": (None, "UNAVAILABLE"),
        "signed by another authority": (Authority.new("authority").issue("auditor"), "UNAVAILABLE"),
        "in nobody's name": (authority.issue("stranger"), "UNAUTHENTICATED"),
    }


def test_a_certificate_that_is_wrong(loop: Loop, server: Ledger, mutual: Settings, authority: Authority) -> None:
    opened = admission(mutual, "127.0.0.1:0", insecure=False)
    for case, (pair, code) in strangers(authority).items():
        with serving.serving(loop, server.url, opened, trusting(authority, pair)) as running:
            found = asked(running, "ListBooks", "")
            assert found is not None, case
            assert found.code == code, case


def test_who_is_taken_out_of_the_callers_file_is_refused(
    loop: Loop, server: Ledger, mutual: Settings, authority: Authority, tmp_path: Path
) -> None:
    """On the same connection, while the certificate is good still; and a file that is broken changes nothing."""
    file, own = tmp_path / "callers.toml", trusting(authority, authority.issue("auditor"))
    there = '[[caller]]\nname = "auditor"\nroles = ["auditor"]\nbooks = ["*"]\n'
    file.write_text(there)
    opened = admission(changed(mutual, callers=file), "127.0.0.1:0", insecure=False)
    with serving.serving(loop, server.url, opened, own) as running:
        assert permitted(asked(running, "ListBooks", ""))
        file.write_text(there.replace("auditor", "another", 1))
        found = asked(running, "ListBooks", "")
        assert found is not None
        assert (found.code, found.reason) == UNPROVEN
        file.write_text(there + "#")
        assert permitted(asked(running, "ListBooks", ""))
        for broken in ("caller = [", ""):
            file.write_text(broken)
            assert permitted(asked(running, "ListBooks", ""))
        file.unlink()
        assert permitted(asked(running, "ListBooks", ""))


# --- the door itself ----------------------------------------------------------------------------------


def test_settings_that_would_leave_the_door_open(known: Settings, mutual: Settings, folder: Path) -> None:
    bare = Settings()
    public = "0.0.0.0:50051"
    cases: dict[str, tuple[Settings, str, bool]] = {
        "nothing says how callers prove": (bare, "127.0.0.1:1", False),
        "reached from other machines": (bare, public, True),
        "contradicts": (known, "127.0.0.1:1", True),
        "under TLS": (known, public, False),
        "LEDGER_CALLERS is not set": (changed(known, callers=None), "127.0.0.1:1", False),
        "LEDGER_CALLERS: .*No such file": (changed(known, callers=folder / "none"), "127.0.0.1:1", False),
        "needs LEDGER_JWT_ISSUER": (changed(known, jwt_issuer=""), "127.0.0.1:1", False),
        "LEDGER_JWT_ALGORITHMS: choose": (changed(known, jwt_algorithms="HS256"), "127.0.0.1:1", False),
        "LEDGER_JWT_ALGORITHMS": (changed(known, jwt_algorithms=""), "127.0.0.1:1", False),
        "must begin with https": (changed(known, jwt_keys="http://login.example/keys"), "127.0.0.1:1", False),
        "needs both": (changed(mutual, tls_key=None), "127.0.0.1:1", False),
        "LEDGER_TLS_KEY: .*No such file": (changed(mutual, tls_key=folder / "none"), "127.0.0.1:1", False),
    }
    for sentence, (found, address, insecure) in cases.items():
        with pytest.raises(SettingRefused, match=sentence):
            admission(found, address, insecure=insecure)


def changed(known: Settings, **values: Any) -> Settings:
    return known.model_copy(update=values)


CALLERS = {
    "nothing in it": "",
    "no TOML": "caller = [",
    "a role that is none": '[[caller]]\nname = "a"\nroles = ["king"]\nbooks = ["*"]',
    "no roles": '[[caller]]\nname = "a"\nroles = []\nbooks = ["*"]',
    "no books": '[[caller]]\nname = "a"\nroles = ["poster"]',
    "a name that is empty": '[[caller]]\nname = ""\nroles = ["poster"]\nbooks = ["*"]',
    "a word misspelt": '[[caller]]\nname = "a"\nrole = ["poster"]\nroles = ["poster"]\nbooks = ["*"]',
}


@pytest.mark.parametrize("case", CALLERS)
def test_a_callers_file_that_is_wrong(tmp_path: Path, case: str) -> None:
    path = tmp_path / "callers.toml"
    path.write_text(CALLERS[case])
    with pytest.raises(SettingRefused, match="LEDGER_CALLERS: "):
        read_callers(path)


def test_a_caller_may_have_other_roles_in_another_book(tmp_path: Path) -> None:
    path = tmp_path / "callers.toml"
    path.write_text(
        '[[caller]]\nname = "eve"\nroles = ["poster"]\nbooks = ["A", "B"]\n'
        '[[caller]]\nname = "eve"\nroles = ["auditor"]\nbooks = ["B"]\n'
    )
    eve = read_callers(path)["eve"]
    assert eve.roles_in("A") == {Role.POSTER}
    assert eve.roles_in("B") == {Role.POSTER, Role.AUDITOR}
    assert eve.roles_in("C") == frozenset()
    assert eve.books() == {"A", "B"}


def test_proof_is_asked_for_by_settings(known: Settings, mutual: Settings) -> None:
    assert not settings.asks_for_proof(Settings())
    assert settings.asks_for_proof(known)
    assert settings.asks_for_proof(mutual)


@pytest.mark.parametrize(
    ("said", "name"), [("", UNNAMED), ("  ", UNNAMED), ("eve", "eve"), ("e\nv\te", "eve"), ("x" * 300, "x" * 100)]
)
def test_a_believed_name(said: str, name: str) -> None:
    assert believed([("other", "x"), ("ledger-actor", said)]) == name


def test_the_open_door_is_not_for_others(loop: Loop, server: Ledger) -> None:
    with pytest.raises(ValueError, match="every caller would be believed"):
        loop.run(start(server.url, "0.0.0.0:0"))


# --- what the server does by itself -------------------------------------------------------------------


def test_calls_of_one_caller_are_limited_and_of_another_are_not(loop: Loop, server: Ledger) -> None:
    serving.open_book(server, "busy")
    with serving.serving(loop, server.url, calls_per_caller=2) as running:
        lines = dr("Assets:Cash", "1.00"), cr("Liabilities:UnappliedCash", "1.00")
        with psycopg.connect(server.url.replace("+psycopg", "")) as holder:
            holder.execute("SELECT FROM heads WHERE book = 'busy' FOR UPDATE")
            waiting = [
                running.postings.PostEntry.future(
                    po.PostEntryRequest(book="busy", entry=entry("2026-04-08", *lines))
                )
                for _ in range(3)
            ]
            first = next(call for call in as_done(waiting) if call.done())
            assert serving.answered(first).reason == "CALLS_TOO_MANY"
            assert serving.answered(first).facts == {"limit": "2"}
            asks = ac.ListBooksRequest()
            assert running.accounts.ListBooks(asks, metadata=[("ledger-actor", "another")]).books
            holder.rollback()
        posted = [serving.answered(call) for call in waiting if call is not first]
        assert sorted(answer.entry.number for answer in posted) == [1, 2]


def as_done(calls: list[grpc.Future]) -> Iterator[grpc.Future]:
    """Each call as it ends."""
    done: Queue[grpc.Future] = Queue()
    for call in calls:
        call.add_done_callback(done.put)
    while True:
        yield done.get(timeout=serving.PATIENCE_SECONDS)


OFF = {
    "a right granted": (
        "GRANT UPDATE ON entries TO ledger_program",
        "REVOKE UPDATE ON entries FROM ledger_program",
    ),
    "a trigger disabled": (
        "ALTER TABLE entries DISABLE TRIGGER entries_never_change",
        "ALTER TABLE entries ENABLE ALWAYS TRIGGER entries_never_change",
    ),
}


@pytest.mark.parametrize("case", OFF)
def test_nothing_is_written_while_a_guard_is_off(loop: Loop, database: str, case: str) -> None:
    off, back = OFF[case]
    with serving.serving(loop, database, guard_seconds=0.05) as running:
        serving.open_book(running)
        posting = po.PostEntryRequest(
            book=serving.BOOK,
            entry=entry("2026-04-08", dr("Assets:Cash", "1.00"), cr("Liabilities:UnappliedCash", "1.00")),
        )
        with psycopg.connect(database.replace("+psycopg", ""), autocommit=True) as owner:
            owner.execute(off)
            assert becomes(running, health_pb2.HealthCheckResponse.NOT_SERVING)
            found = refused(running.postings.PostEntry, posting)
            assert (found.code, found.reason) == ("UNAVAILABLE", "BOOKS_UNGUARDED")
            assert running.accounts.ListBooks(ac.ListBooksRequest()).books
            owner.execute(back)
            assert becomes(running, health_pb2.HealthCheckResponse.SERVING)
        assert running.postings.PostEntry(posting).entry.number == 1


def becomes(running: Ledger, state: health_pb2.HealthCheckResponse.ServingStatus.ValueType) -> bool:
    """Waits until the server says that of itself."""
    stub = health_pb2_grpc.HealthStub(running.channel)
    watched = stub.Watch(health_pb2.HealthCheckRequest(), timeout=serving.PATIENCE_SECONDS)
    found = any(answer.status == state for answer in watched)
    watched.cancel()
    return found

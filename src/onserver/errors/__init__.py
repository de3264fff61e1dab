"""Every error that onserver raises on purpose, in one tree.

    OnServerError
    ├─ ConfigError    ProjectNotFound 1001 · ImportFailed 1002 · UnknownSetting 1003 · RolesFileError 1004
    │                 NotConnected 1005 · DuplicateName 1006 · BadSetting 1007 · MissingExtra 1008
    │                 BadDeclaration 1009 · NoSigningKey 1010 · BadSettingsFile 1011 · RoleNotFound 1012
    │                 KeyNotFound 1013 · KeyInUse 1014 · NotStandalone 1015
    │                 UnsafeRedis 1204 · WrongLayout 1205 · UnsafeBind 6001
    │                 TokenNotFound 6002
    ├─ ReachError     BrokerUnavailable 1201 · NoRedis 1203 · ServerUnreachable 1206
    │                 CertificateRefused 1207 · MemberFenced 2401
    ├─ CallError      ProcedureNotFound 1104 · BadArguments 1105 · NotSendable 1106
    │                 ScheduleNotFound 1107 · BadEvent 1108
    ├─ ProcessError   ProcessNotFound 2001 · CallNotFound 2004 · AlreadyRunning 2101
    │                 ProcessNotStarted 2102 · ProcedureFailed 2201 · ProcessTimeout 2202
    │                 ProcessAborted 2203 · ProcessLost 2204 · ProcessDead 2205 · VariableTimeout 2206
    │                 DeadlockDetected 2301 · SyncInAsyncError 2302 · SignalGone 2003
    ├─ StorageError   LockTimeout 3101 · NotInUse 3103 · LockLost 3104 · NotShareable 3106 · TooLarge 3107
    │                 VersionConflict 3108 · ChangesNotLogged 3109 · EntityNotFound 3110
    ├─ SessionError   SessionExpired 4102 · PrivilegeDenied 4103 · MaintenanceMode 4104
    │                 ConnectionVetoed 4105 · BadSignature 4106 · CallerRevoked 4107 · SessionNotFound 4108
    │                 NoSession 4109 · UserNotFound 4110 · UserExists 4111 · PasswordRefused 4112
    │                 ConnectionsRejected 4113 · LoginRefused 4114
    │                 ServerSideOnly 4115
    ├─ BackupError    BackupVetoed 5201 · BackupCorrupt 5202 · RestoreRefused 5203
    │                 ArchiveTooNew 5204 · ArchiveNotWritten 5205 · ArchiveSealed 5206 · SourceFailed 5207
    │                 ArchiveNotFound 5208 · BackupFailed 5209 · BackupRunning 5210
    │                 CutLost 5221 · CutNeverEnds 5222
    ├─ SteeringError  ActionNotFound 6003 · ActionRefused 6004 · BadField 6005 · NotConfirmed 6006
    │                 LoginTooOld 6007 · NotDone 6008
    └─ HookFailed 5301 · HookNotFound 5302
    NoWorker 1202 is a warning: the process is kept.

An error is its facts. A class lists them as annotated attributes, in the order in which they are passed; the text is
made from them when somebody asks, so that a handler never has to parse prose and a pickled error is rebuilt whole on
the other side. Where people would try a built-in first (`LookupError`, `TimeoutError`, `TypeError`), the class is one.
"""

from __future__ import annotations

from onserver.errors.asking import (
    BadArguments,
    BadEvent,
    CallError,
    NotSendable,
    NoWorker,
    ProcedureNotFound,
    ScheduleNotFound,
)
from onserver.errors.backups import BackupFailed, BackupRunning
from onserver.errors.clients import CertificateRefused, ServerSideOnly, ServerUnreachable
from onserver.errors.cuts import CutLost, CutNeverEnds
from onserver.errors.facts import OnServerError
from onserver.errors.keys import KeyInUse, KeyNotFound
from onserver.errors.life import (
    ArchiveNotFound,
    ArchiveNotWritten,
    ArchiveSealed,
    ArchiveTooNew,
    BackupCorrupt,
    BackupError,
    BackupVetoed,
    HookFailed,
    HookNotFound,
    RestoreRefused,
    SourceFailed,
)
from onserver.errors.processes import (
    AlreadyRunning,
    CallNotFound,
    DeadlockDetected,
    ProcedureFailed,
    ProcessAborted,
    ProcessDead,
    ProcessError,
    ProcessLost,
    ProcessNotFound,
    ProcessNotStarted,
    ProcessTimeout,
    SignalGone,
    SyncInAsyncError,
    VariableTimeout,
)
from onserver.errors.reaching import (
    BrokerUnavailable,
    MemberFenced,
    NoRedis,
    ReachError,
)
from onserver.errors.remote import ConnectionsRejected, LoginRefused
from onserver.errors.sessions import (
    BadSignature,
    CallerRevoked,
    ConnectionVetoed,
    MaintenanceMode,
    NoSession,
    PrivilegeDenied,
    SessionError,
    SessionExpired,
    SessionNotFound,
)
from onserver.errors.setup import (
    BadDeclaration,
    BadSetting,
    BadSettingsFile,
    ConfigError,
    DuplicateName,
    ImportFailed,
    MissingExtra,
    NoSigningKey,
    NotConnected,
    NotStandalone,
    ProjectNotFound,
    RoleNotFound,
    RolesFileError,
    TokenNotFound,
    UnknownSetting,
    UnsafeBind,
    UnsafeRedis,
    WrongLayout,
)
from onserver.errors.steering import (
    ActionNotFound,
    ActionRefused,
    BadField,
    LoginTooOld,
    NotConfirmed,
    NotDone,
    SteeringError,
)
from onserver.errors.storing import (
    ChangesNotLogged,
    EntityNotFound,
    LockLost,
    LockTimeout,
    NotInUse,
    NotShareable,
    StorageError,
    TooLarge,
    VersionConflict,
)
from onserver.errors.users import PasswordRefused, UserExists, UserNotFound

__all__ = [
    "ActionNotFound",
    "ActionRefused",
    "AlreadyRunning",
    "ArchiveNotFound",
    "ArchiveNotWritten",
    "ArchiveSealed",
    "ArchiveTooNew",
    "BackupCorrupt",
    "BackupError",
    "BackupFailed",
    "BackupRunning",
    "BackupVetoed",
    "BadArguments",
    "BadDeclaration",
    "BadEvent",
    "BadField",
    "BadSetting",
    "BadSettingsFile",
    "BadSignature",
    "BrokerUnavailable",
    "CallError",
    "CallNotFound",
    "CallerRevoked",
    "CertificateRefused",
    "ChangesNotLogged",
    "ConfigError",
    "ConnectionVetoed",
    "ConnectionsRejected",
    "CutLost",
    "CutNeverEnds",
    "DeadlockDetected",
    "DuplicateName",
    "EntityNotFound",
    "HookFailed",
    "HookNotFound",
    "ImportFailed",
    "KeyInUse",
    "KeyNotFound",
    "LockLost",
    "LockTimeout",
    "LoginRefused",
    "LoginTooOld",
    "MaintenanceMode",
    "MemberFenced",
    "MissingExtra",
    "NoRedis",
    "NoSession",
    "NoSigningKey",
    "NoWorker",
    "NotConfirmed",
    "NotConnected",
    "NotDone",
    "NotInUse",
    "NotSendable",
    "NotShareable",
    "NotStandalone",
    "OnServerError",
    "PasswordRefused",
    "PrivilegeDenied",
    "ProcedureFailed",
    "ProcedureNotFound",
    "ProcessAborted",
    "ProcessDead",
    "ProcessError",
    "ProcessLost",
    "ProcessNotFound",
    "ProcessNotStarted",
    "ProcessTimeout",
    "ProjectNotFound",
    "ReachError",
    "RestoreRefused",
    "RoleNotFound",
    "RolesFileError",
    "ScheduleNotFound",
    "ServerSideOnly",
    "ServerUnreachable",
    "SessionError",
    "SessionExpired",
    "SessionNotFound",
    "SignalGone",
    "SourceFailed",
    "SteeringError",
    "StorageError",
    "SyncInAsyncError",
    "TokenNotFound",
    "TooLarge",
    "UnknownSetting",
    "UnsafeBind",
    "UnsafeRedis",
    "UserExists",
    "UserNotFound",
    "VariableTimeout",
    "VersionConflict",
    "WrongLayout",
]

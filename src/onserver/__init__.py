"""A stored-procedure server: procedures and hooks that share one session, on Celery and Redis.

Everything that a program uses is imported from here:

    from onserver import execute_on_server, on_server_startup, procedure, session

``import onserver`` itself loads next to nothing: a name is loaded when it is first asked for (PEP 562), so that the
command line answers at once and a program that only enqueues never loads Celery.
"""

from typing import TYPE_CHECKING, Final

from onserver.lazy import keep_names, module_getattr

if TYPE_CHECKING:
    from onserver import errors as errors
    from onserver.backup.asking import backup as backup
    from onserver.backup.facts import backup_info as backup_info
    from onserver.backup.facts import restore_info as restore_info
    from onserver.life.epoch import server_epoch as server_epoch
    from onserver.life.events import system_event as system_event
    from onserver.life.hook_arguments import Backup as Backup
    from onserver.life.hook_arguments import BackupResult as BackupResult
    from onserver.life.hook_arguments import Connection as Connection
    from onserver.life.hook_arguments import SystemEvent as SystemEvent
    from onserver.life.hooks import on_server_shutdown as on_server_shutdown
    from onserver.life.hooks import on_server_startup as on_server_startup
    from onserver.life.occasions import on_backup_shutdown as on_backup_shutdown
    from onserver.life.occasions import on_backup_startup as on_backup_startup
    from onserver.life.occasions import on_server_close_connection as on_server_close_connection
    from onserver.life.occasions import on_server_open_connection as on_server_open_connection
    from onserver.life.occasions import on_server_shutdown_connection as on_server_shutdown_connection
    from onserver.life.occasions import on_system_event as on_system_event
    from onserver.life.web_arguments import MobileAction as MobileAction
    from onserver.life.web_arguments import MobileLogin as MobileLogin
    from onserver.life.web_arguments import RestLogin as RestLogin
    from onserver.life.web_arguments import WebRequest as WebRequest
    from onserver.life.web_occasions import on_mobile_app_action as on_mobile_app_action
    from onserver.life.web_occasions import on_mobile_app_authentication as on_mobile_app_authentication
    from onserver.life.web_occasions import on_rest_authentication as on_rest_authentication
    from onserver.life.web_occasions import on_web_authentication as on_web_authentication
    from onserver.life.web_occasions import on_web_connection as on_web_connection
    from onserver.life.worker import Worker as Worker
    from onserver.process.activity import process_activity as process_activity
    from onserver.process.caller import Caller as Caller
    from onserver.process.caller import as_server as as_server
    from onserver.process.caller import caller as caller
    from onserver.process.clients import execute_on_client as execute_on_client
    from onserver.process.clients import register_client as register_client
    from onserver.process.clients import registered_clients as registered_clients
    from onserver.process.clients import unregister_client as unregister_client
    from onserver.process.current import process as process
    from onserver.process.declare import procedure as procedure
    from onserver.process.execute import execute_many as execute_many
    from onserver.process.execute import execute_on_server as execute_on_server
    from onserver.process.handle import Process as Process
    from onserver.process.mailbox import mailbox as mailbox
    from onserver.process.maintenance import begin_maintenance as begin_maintenance
    from onserver.process.maintenance import end_maintenance as end_maintenance
    from onserver.process.maintenance import maintenance as maintenance
    from onserver.process.procedure import Procedure as Procedure
    from onserver.process.procedure import Start as Start
    from onserver.process.rejecting import connections_rejected as connections_rejected
    from onserver.process.rejecting import reject_new_connections as reject_new_connections
    from onserver.process.rules import Limit as Limit
    from onserver.process.rules import Retry as Retry
    from onserver.process.semaphores import semaphore as semaphore
    from onserver.process.server_method import ServerMethod as ServerMethod
    from onserver.process.server_method import server_method as server_method
    from onserver.process.session_by_id import session_info as session_info
    from onserver.process.session_by_id import session_storage as session_storage
    from onserver.process.signals import Signal as Signal
    from onserver.process.signals import signal as signal
    from onserver.process.singleton_method import published as published
    from onserver.process.waiting import as_completed as as_completed
    from onserver.process.waiting import wait_all as wait_all
    from onserver.server import Server as Server
    from onserver.session.context import session as session
    from onserver.session.session import Session as Session
    from onserver.session.singletons import SessionSingleton as SessionSingleton
    from onserver.session.singletons import shared as shared
    from onserver.session.storage import Storage as Storage

__version__ = "0.1.0"

#: The public names, and where each is.
_NAMES: Final = {
    "Backup": "onserver.life.hook_arguments:Backup",
    "BackupResult": "onserver.life.hook_arguments:BackupResult",
    "Caller": "onserver.process.caller:Caller",
    "Connection": "onserver.life.hook_arguments:Connection",
    "Limit": "onserver.process.rules:Limit",
    "MobileAction": "onserver.life.web_arguments:MobileAction",
    "MobileLogin": "onserver.life.web_arguments:MobileLogin",
    "Procedure": "onserver.process.procedure:Procedure",
    "Process": "onserver.process.handle:Process",
    "RestLogin": "onserver.life.web_arguments:RestLogin",
    "Retry": "onserver.process.rules:Retry",
    "Server": "onserver.server:Server",
    "ServerMethod": "onserver.process.server_method:ServerMethod",
    "Session": "onserver.session.session:Session",
    "SessionSingleton": "onserver.session.singletons:SessionSingleton",
    "Signal": "onserver.process.signals:Signal",
    "Start": "onserver.process.procedure:Start",
    "Storage": "onserver.session.storage:Storage",
    "SystemEvent": "onserver.life.hook_arguments:SystemEvent",
    "WebRequest": "onserver.life.web_arguments:WebRequest",
    "Worker": "onserver.life.worker:Worker",
    "as_completed": "onserver.process.waiting:as_completed",
    "as_server": "onserver.process.caller:as_server",
    "backup": "onserver.backup.asking:backup",
    "backup_info": "onserver.backup.facts:backup_info",
    "begin_maintenance": "onserver.process.maintenance:begin_maintenance",
    "caller": "onserver.process.caller:caller",
    "connections_rejected": "onserver.process.rejecting:connections_rejected",
    "end_maintenance": "onserver.process.maintenance:end_maintenance",
    "errors": "onserver.errors",
    "execute_many": "onserver.process.execute:execute_many",
    "execute_on_client": "onserver.process.clients:execute_on_client",
    "execute_on_server": "onserver.process.execute:execute_on_server",
    "mailbox": "onserver.process.mailbox:mailbox",
    "maintenance": "onserver.process.maintenance:maintenance",
    "on_backup_shutdown": "onserver.life.occasions:on_backup_shutdown",
    "on_backup_startup": "onserver.life.occasions:on_backup_startup",
    "on_mobile_app_action": "onserver.life.web_occasions:on_mobile_app_action",
    "on_mobile_app_authentication": "onserver.life.web_occasions:on_mobile_app_authentication",
    "on_rest_authentication": "onserver.life.web_occasions:on_rest_authentication",
    "on_server_close_connection": "onserver.life.occasions:on_server_close_connection",
    "on_server_open_connection": "onserver.life.occasions:on_server_open_connection",
    "on_server_shutdown": "onserver.life.hooks:on_server_shutdown",
    "on_server_shutdown_connection": "onserver.life.occasions:on_server_shutdown_connection",
    "on_server_startup": "onserver.life.hooks:on_server_startup",
    "on_system_event": "onserver.life.occasions:on_system_event",
    "on_web_authentication": "onserver.life.web_occasions:on_web_authentication",
    "on_web_connection": "onserver.life.web_occasions:on_web_connection",
    "procedure": "onserver.process.declare:procedure",
    "process": "onserver.process.current:process",
    "process_activity": "onserver.process.activity:process_activity",
    "published": "onserver.process.singleton_method:published",
    "register_client": "onserver.process.clients:register_client",
    "registered_clients": "onserver.process.clients:registered_clients",
    "reject_new_connections": "onserver.process.rejecting:reject_new_connections",
    "restore_info": "onserver.backup.facts:restore_info",
    "semaphore": "onserver.process.semaphores:semaphore",
    "server_epoch": "onserver.life.epoch:server_epoch",
    "server_method": "onserver.process.server_method:server_method",
    "session": "onserver.session.context:session",
    "session_info": "onserver.process.session_by_id:session_info",
    "session_storage": "onserver.process.session_by_id:session_storage",
    "shared": "onserver.session.singletons:shared",
    "signal": "onserver.process.signals:signal",
    "system_event": "onserver.life.events:system_event",
    "unregister_client": "onserver.process.clients:unregister_client",
    "wait_all": "onserver.process.waiting:wait_all",
}

__all__ = [
    "Backup",
    "BackupResult",
    "Caller",
    "Connection",
    "Limit",
    "MobileAction",
    "MobileLogin",
    "Procedure",
    "Process",
    "RestLogin",
    "Retry",
    "Server",
    "ServerMethod",
    "Session",
    "SessionSingleton",
    "Signal",
    "Start",
    "Storage",
    "SystemEvent",
    "WebRequest",
    "Worker",
    "as_completed",
    "as_server",
    "backup",
    "backup_info",
    "begin_maintenance",
    "caller",
    "connections_rejected",
    "end_maintenance",
    "errors",
    "execute_many",
    "execute_on_client",
    "execute_on_server",
    "mailbox",
    "maintenance",
    "on_backup_shutdown",
    "on_backup_startup",
    "on_mobile_app_action",
    "on_mobile_app_authentication",
    "on_rest_authentication",
    "on_server_close_connection",
    "on_server_open_connection",
    "on_server_shutdown",
    "on_server_shutdown_connection",
    "on_server_startup",
    "on_system_event",
    "on_web_authentication",
    "on_web_connection",
    "procedure",
    "process",
    "process_activity",
    "published",
    "register_client",
    "registered_clients",
    "reject_new_connections",
    "restore_info",
    "semaphore",
    "server_epoch",
    "server_method",
    "session",
    "session_info",
    "session_storage",
    "shared",
    "signal",
    "system_event",
    "unregister_client",
    "wait_all",
]

__getattr__ = module_getattr(__name__, _NAMES)


def __dir__() -> list[str]:
    return sorted([*_NAMES, "__version__"])


keep_names(__name__, _NAMES)

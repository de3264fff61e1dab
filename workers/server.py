"""The demo's worker: `onserver worker` runs it; start it as often as there are machines."""

from onserver import Worker

worker = Worker(queues=["default"], executors=2)

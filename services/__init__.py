"""The services that host models: the engine, its backends, and one process per tier."""

from offramp.process.polling import poll_in_place

poll_in_place()  # before anything here imports grpc

"""What gRPC in Python costs where nothing else is done: grpc.aio's server beside ours."""

from offramp.process.polling import poll_in_place

poll_in_place()  # as router and tiers do, before anything here imports grpc

"""What gRPC in Python costs where nothing else is done: grpc.aio's server beside ours."""

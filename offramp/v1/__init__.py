"""Generated protobuf messages and gRPC stubs (scripts/gen-protos); do not edit."""

"""What every gRPC server here shares: the server itself, wire conversion, health, drain."""

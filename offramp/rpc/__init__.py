"""What every gRPC server here shares: wire conversion, interceptors, health, drain."""

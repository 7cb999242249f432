"""Tables of load: goodput, many in flight, an idle service, memory."""

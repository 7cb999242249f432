"""The router: decides for every text which exit answers it, and explains the answer."""

from offramp.process.polling import poll_in_place

poll_in_place()  # before anything here imports grpc

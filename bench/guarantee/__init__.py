"""Whether guarantees hold on real evidence, and how much speed each method keeps."""

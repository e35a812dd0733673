"""Serving: a trained model behind HTTP, or exported for machines without torch.

A server reads bodies (`asks`), counts what they cost and which of them can be read together (`passes`), queues them
(`batcher`) for the one thread that owns the model (`worker`), and describes itself from the tasks (`schemas`).
"""

"""Pretrained transformers of every family, behind one face.

An `Encoder` names one, `locate` finds its files, `load_tokenizer` and `load_trunk` read them. The `Trunk` reads texts
into states whether it is an encoder (BERT), an encoder-decoder (T5) or a decoder (GPT-2); the last two also write.

>>> from motet.encoders.loading import Encoder
>>> Encoder("google-t5/t5-small", max_length=256).layers is None
True
"""

from motet.encoders.loading import DEFAULT_ENCODER, Encoder, load_tokenizer, load_trunk, locate
from motet.encoders.silence import silently

__all__ = ["DEFAULT_ENCODER", "Encoder", "load_tokenizer", "load_trunk", "locate", "silently"]

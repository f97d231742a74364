"""Two classifiers of texts: the mean of word vectors, and a small transformer encoder.

Both take indices of tokens and return logits (N, C). Notebooks 02 and 03 build them
step by step; here they are with checks for bad input. This file can be
copied alone to another project.
"""

import torch
from torch import Tensor, nn

NOTHING = 0  # the index of padding


class AveragedEmbedding(nn.Module):
    """The mean of the vectors of all n-grams of a text, dropout, and a linear layer.

    Joulin et al., "Bag of tricks for efficient text classification" (2016). There is
    nothing in it that is not linear, so each n-gram has one weight: see `weights`.
    """

    def __init__(
        self, tokens: int, size: int = 32, dropout: float = 0.5, classes: int = 2
    ) -> None:
        """`tokens`: the length of the vocabulary."""
        super().__init__()
        self.embedding = nn.EmbeddingBag(tokens, size, mode="mean")
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(size, classes)
        nn.init.normal_(self.embedding.weight, std=0.1)

    def forward(self, flat: Tensor, offsets: Tensor) -> Tensor:
        """Indices (T,), no padding among them, and offsets (N,) -> logits (N, C).

        A text without a known n-gram gets the bias alone. Raises `ValueError` for
        other shapes.
        """
        if flat.ndim != 1 or offsets.ndim != 1:
            raise ValueError(
                f"needs flat indices (T,) and offsets (N,), not {tuple(flat.shape)} "
                f"and {tuple(offsets.shape)}; `Bags.batch` makes them"
            )
        return self.linear(self.dropout(self.embedding(flat, offsets)))

    @torch.no_grad()
    def weights(self) -> Tensor:
        """(V,): how much each n-gram speaks for class 1 against class 0, as a logit.

        The difference of a text's two logits is the mean of its n-grams' weights plus
        the difference of the biases.
        """
        if self.linear.out_features != 2:
            raise ValueError("one weight for each n-gram: only with two classes")
        return self.embedding.weight @ (self.linear.weight[1] - self.linear.weight[0])


class TransformerClassifier(nn.Module):
    """Token and position vectors, encoder layers, the mean over real tokens, a linear.

    Vaswani et al., "Attention is all you need" (2017), the encoder half, with the norm
    first and learned positions.
    """

    def __init__(
        self,
        tokens: int,
        length: int,
        *,
        size: int = 64,
        heads: int = 4,
        layers: int = 2,
        dropout: float = 0.1,
        classes: int = 2,
    ) -> None:
        """`tokens`: of the vocabulary; `length`: the most positions of a text."""
        super().__init__()
        self.token = nn.Embedding(tokens, size, padding_idx=NOTHING)
        self.place = nn.Parameter(0.02 * torch.randn(length, size))
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            size, heads, 2 * size, dropout, batch_first=True, norm_first=True
        )
        layer.self_attn.dropout = 0.0  # on its weights: keeps it from the fast kernel
        self.encoder = nn.TransformerEncoder(
            layer, layers, norm=nn.LayerNorm(size), enable_nested_tensor=False
        )
        self.linear = nn.Linear(size, classes)
        nn.init.normal_(self.token.weight, std=0.1)
        with torch.no_grad():
            self.token.weight[NOTHING] = 0
        for parameter in self.encoder.parameters():  # or all layers begin as copies
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, rows: Tensor) -> Tensor:
        """Indices (N, L) -> logits (N, C). Padding stands behind the tokens.

        A text without tokens gets the bias alone. Raises `ValueError` for texts longer
        than `length`.
        """
        if rows.ndim != 2 or rows.shape[1] > len(self.place):
            raise ValueError(
                f"needs (N, L) with L at most {len(self.place)}, not "
                f"{tuple(rows.shape)}: cut the texts, or make the model longer"
            )
        real = rows != NOTHING  # (N, L)
        x = self.dropout(self.token(rows) + self.place[: rows.shape[1]])  # (N, L, E)
        hidden = ~real
        hidden[:, 0] = False  # a row that is all hidden would become nan
        x = self.encoder(x, src_key_padding_mask=hidden)  # (N, L, E)
        return self.linear(mean_of_real(x, real))

    @torch.no_grad()
    def attention(self, row: Tensor, layer: int = 0) -> Tensor:
        """(L,) indices -> (heads, L, L): row who asks, column who is asked.

        What `layer` (0 is the first) does in eval mode; the padding takes no part.
        Raises `ValueError` for a text without tokens.
        """
        if row.ndim != 1 or not row.any():
            raise ValueError("needs the indices (L,) of one text, a token among them")
        was_training = self.training
        self.eval()
        hidden = (row == NOTHING)[None]  # (1, L)
        x = self.token(row)[None] + self.place[: len(row)]  # (1, L, E)
        for block in self.encoder.layers[:layer]:
            x = block(x, src_key_padding_mask=hidden)
        block = self.encoder.layers[layer]
        x = block.norm1(x)
        _, weights = block.self_attn(
            x, x, x, key_padding_mask=hidden, average_attn_weights=False
        )
        self.train(was_training)
        return weights[0]


def mean_of_real(x: Tensor, real: Tensor) -> Tensor:
    """(N, L, E) and (N, L) bool -> (N, E): the mean over what is `real`, or 0."""
    total = torch.where(real[..., None], x, 0).sum(dim=1)  # (N, E); nan * 0 is nan
    return total / real.sum(dim=1, keepdim=True).clamp(min=1)

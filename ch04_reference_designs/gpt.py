"""A GPT: a transformer that predicts the next token, with a cache for sampling.

    model = GPT(Config(vocabulary=103, context=64))
    logits = model(codes)                       # (N, L) -> (N, L, V)
    longer = generate(model, prompt, 200)       # (N, L) -> (N, L + 200)

Radford et al., "Improving language understanding by generative pre-training" (2018),
with rotary positions (Su et al., 2021) and RMS norms. Notebook 05 builds it step by
step; here are checks for bad input, saving and loading. From a shell:

    python -m ch04_reference_designs.gpt FOLDER "The statement"
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ch04_reference_designs.characters import Characters

Past = list[tuple[Tensor, Tensor]]  # keys and values of each block, (N, H, P, D)


@dataclass(frozen=True)
class Config:
    vocabulary: int
    context: int = 64  # the most tokens it looks at
    size: int = 128  # of a token's vector
    heads: int = 4
    layers: int = 3
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.size % (2 * self.heads):
            raise ValueError(
                f"size {self.size} has to be a multiple of 2 * heads = {2 * self.heads}"
            )


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """(..., L, D) by the cosines and sines (2, L, D / 2) of its positions' angles."""
    cos, sin = turn.to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def turns(length: int, size: int) -> Tensor:
    """(2, length, size / 2): cosines and sines of each position's angles."""
    speed = 10_000 ** -(torch.arange(0, size, 2) / size)  # (size / 2,)
    angles = torch.arange(length)[:, None] * speed
    return torch.stack([angles.cos(), angles.sin()])


class Attention(nn.Module):
    """Causal attention of several heads, with rotated queries and keys."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(size, 3 * size, bias=False)
        self.out = nn.Linear(size, size, bias=False)

    def forward(self, x: Tensor, turn: Tensor, past=None):
        """(N, L, E), keys and values of before -> (N, L, E), keys and values of all."""
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # (N, L, 3, H, D)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (N, H, L, D) each
        q, k, mask, length = rotate(q, turn), rotate(k, turn), None, x.shape[1]
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
            if length > 1:  # row i sees the past, and the new ones up to i
                mask = x.new_ones(length, k.shape[2], dtype=torch.bool)
                mask = mask.tril(k.shape[2] - length)
        y = F.scaled_dot_product_attention(q, k, v, mask, is_causal=past is None)
        return self.out(y.transpose(1, 2).flatten(2)), (k, v)


class Block(nn.Module):
    """Attention, then two linear layers; a norm before each, the input added after."""

    def __init__(self, size: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(size), nn.RMSNorm(size)
        self.attention = Attention(size, heads)
        self.up, self.down = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, turn: Tensor, past=None):
        y, past = self.attention(self.norm1(x), turn, past)
        x = x + self.dropout(y)
        return x + self.dropout(self.down(F.gelu(self.up(self.norm2(x))))), past


class GPT(nn.Module):
    """Tokens (N, L) -> logits (N, L, V): those at i are for the token at i + 1."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, size = config, config.size
        self.token = nn.Embedding(config.vocabulary, size)
        self.blocks = nn.ModuleList(
            Block(size, config.heads, config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.RMSNorm(size)
        turn = turns(config.context, size // config.heads)
        self.register_buffer("turn", turn, persistent=False)
        for name, p in self.named_parameters():
            if p.ndim == 2:  # what is added to the stream begins smaller
                added = name.endswith(("out.weight", "down.weight"))
                fan_in = 2 * config.layers * size if added else p.shape[1]
                nn.init.normal_(p, std=fan_in**-0.5)
            elif name.endswith("bias"):
                nn.init.zeros_(p)
        nn.init.normal_(self.token.weight, std=0.02)

    def forward(self, codes: Tensor) -> Tensor:
        return self.step(codes)[0]

    def step(self, codes: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        """The logits (N, L, V) of new tokens that follow `past`, and the new past.

        Raises `ValueError` for no token, a shape other than (N, L), more tokens than
        the context has, and (on a CPU) a token out of range.
        """
        if codes.ndim != 2 or not codes.shape[1]:
            raise ValueError(f"needs tokens (N, L), L > 0, not {tuple(codes.shape)}")
        start = past[0][0].shape[2] if past else 0
        end, most = start + codes.shape[1], self.config.context
        if end > most:
            raise ValueError(f"{end} tokens do not fit into a context of {most}")
        if codes.device.type == "cpu":  # elsewhere the question would wait for it
            low, high = (value.item() for value in codes.aminmax())
            if low < 0 or high >= self.config.vocabulary:
                raise ValueError(
                    f"tokens have to be in 0..{self.config.vocabulary - 1}"
                )
        x, new = self.token(codes), []  # (N, L, E)
        for i, block in enumerate(self.blocks):
            x, kept = block(x, self.turn[:, start:end], past[i] if past else None)
            new.append(kept)
        return F.linear(self.norm(x), self.token.weight), new  # the table, once more


@torch.inference_mode()
def generate(
    model: GPT,
    codes: Tensor,
    count: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
    cache: bool = True,
) -> Tensor:
    """(N, L) -> (N, L + count). With temperature 0 the likeliest, without chance.

    Where the context is full, its older half is forgotten. `generator` is a CPU's. The
    model is left in the mode in which it came. Raises `ValueError` for an empty prompt
    (unless `count` is 0), a temperature below 0 or a `top_k` below 1.
    """
    if temperature < 0 or (top_k is not None and top_k < 1):
        raise ValueError("temperature has to be 0 or more, and top_k 1 or more")
    was_training, most = model.training, model.config.context
    model.eval()
    start, past = max(0, codes.shape[1] - most), None
    try:
        for _ in range(count):
            if codes.shape[1] - start > most:
                start, past = codes.shape[1] - max(1, most // 2), None
            new = codes[:, start:] if past is None else codes[:, -1:]
            logits, past = model.step(new, past)
            if not cache:
                past = None
            chosen = choose(logits[:, -1], temperature, top_k, generator)  # (N, 1)
            codes = torch.cat([codes, chosen], dim=1)
    finally:
        model.train(was_training)
    return codes


def choose(logits: Tensor, temperature=1.0, top_k=None, generator=None) -> Tensor:
    """Logits (N, V) -> one token for each row, (N, 1)."""
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    device, logits = logits.device, logits.float().cpu() / temperature  # drawn on a CPU
    if top_k is not None and top_k < logits.shape[-1]:
        least = logits.topk(top_k).values[:, -1:]  # (N, 1)
        logits = logits.masked_fill(logits < least, -torch.inf)
    return torch.multinomial(logits.softmax(-1), 1, generator=generator).to(device)


def save(model: GPT, characters: Characters, folder: Path | str) -> None:
    """`model.safetensors`, and `config.json` with the sizes and the characters."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    said = {"model": asdict(model.config), "characters": characters.characters}
    (folder / "config.json").write_text(json.dumps(said), encoding="utf-8")


def load(folder: Path | str) -> tuple[GPT, Characters]:
    """What `save` wrote, in eval mode. Raises `FileNotFoundError` where it is not."""
    folder = Path(folder)
    said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = GPT(Config(**said["model"]))
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval(), Characters(said["characters"])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Let a saved GPT go on with a text.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("prompt")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    model, characters = load(args.folder)
    codes = characters.encode(args.prompt)[None]  # (1, L)
    how = {"temperature": 0.7, "generator": torch.Generator().manual_seed(args.seed)}
    print(characters.decode(generate(model, codes, args.count, **how)[0]))


if __name__ == "__main__":
    main()

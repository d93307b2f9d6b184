"""Suppliers of large models: where they answer and how they want to be shown a key. A new supplier is one more row."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

OPENAI = "OpenAI/v1"
NATIVE = "native"


@dataclass(frozen=True, slots=True)
class Shape:
    """How a key travels to the supplier: `prefix` + value in `header`, beside fixed `extra_headers`."""

    header: str = "authorization"
    prefix: str = "Bearer "
    extra_headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Supplier:
    """`address` is the preset service address, empty where each customer has one of their own. `protocols` maps each to its shape."""

    id: str
    label: str | Promise
    address: str
    protocols: dict[str, Shape]
    one_key: bool = False
    address_hint: str = ""
    native_address: str = ""  # where its own protocol is spoken at another address than OpenAI's

    def address_for(self, protocol: str) -> str:
        return (self.native_address if protocol == NATIVE else "") or self.address


_BEARER = Shape()


def _openai_like(id: str, label: str | Promise, address: str, hint: str = "") -> Supplier:
    return Supplier(id, label, address, {OPENAI: _BEARER}, address_hint=hint)


SUPPLIERS: dict[str, Supplier] = {
    supplier.id: supplier
    for supplier in (
        _openai_like("qwen", _("Alibaba Cloud Model Studio"), "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
        _openai_like("openai", "OpenAI", "https://api.openai.com/v1"),
        _openai_like("custom", _("OpenAI-compatible"), "", "https://llm.example.com/v1"),
        Supplier(
            "azure",
            "Azure OpenAI",
            "",
            {OPENAI: Shape("api-key", "")},
            one_key=True,
            address_hint="https://<resource>.openai.azure.com/openai/v1",
        ),
        Supplier(
            "claude",
            "Claude (Anthropic)",
            "https://api.anthropic.com/v1",
            {NATIVE: Shape("x-api-key", "", (("anthropic-version", "2023-06-01"),)), OPENAI: _BEARER},
        ),
        Supplier(
            "gemini",
            "Gemini",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            {OPENAI: _BEARER, NATIVE: Shape("x-goog-api-key", "")},
            native_address="https://generativelanguage.googleapis.com/v1beta",
        ),
        _openai_like("deepseek", "DeepSeek", "https://api.deepseek.com/v1"),
        _openai_like("moonshot", "Moonshot", "https://api.moonshot.cn/v1"),
        _openai_like("zhipuai", "Zhipu", "https://open.bigmodel.cn/api/paas/v4"),
        _openai_like("doubao", "Doubao", "https://ark.cn-beijing.volces.com/api/v3"),
        _openai_like("baichuan", "Baichuan", "https://api.baichuan-ai.com/v1"),
        _openai_like("yi", "Yi (01.AI)", "https://api.lingyiwanwu.com/v1"),
        _openai_like("stepfun", "StepFun", "https://api.stepfun.com/v1"),
        _openai_like("minimax", "MiniMax", "https://api.minimax.chat/v1"),
        _openai_like("hunyuan", "Hunyuan", "https://api.hunyuan.cloud.tencent.com/v1"),
        _openai_like("baidu", "Qianfan (Baidu)", "https://qianfan.baidubce.com/v2"),
        _openai_like("ai360", "360 AI", "https://api.360.cn/v1"),
        _openai_like("mistral", "Mistral", "https://api.mistral.ai/v1"),
        _openai_like("groq", "Groq", "https://api.groq.com/openai/v1"),
        _openai_like("grok", "Grok (xAI)", "https://api.x.ai/v1"),
        _openai_like("openrouter", "OpenRouter", "https://openrouter.ai/api/v1"),
        _openai_like("pai-eas", "PAI-EAS", "", "https://<service>.pai-eas.aliyuncs.com/v1"),
    )
}

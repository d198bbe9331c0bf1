//! Teachers' tokenizers of many kinds, and rows like those that people classify.

use serde_json::{Value, json};

/// A teacher's tokenizer.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Whether rows are pairs.
    pub(super) pairs: bool,
    pub(super) files: Vec<(&'static str, String)>,
    /// Class that `config.json` names, as older folders have it.
    pub(super) class: Option<&'static str>,
}

/// Text and second text of every row.
pub(super) const ROWS: [(&str, &str); 24] = [
    (
        "I was charged TWICE for my card payment, please help!",
        "Refund for order #1207",
    ),
    (
        "The Café in Zürich closed; naïve résumé, déjà vu",
        "cafe zurich",
    ),
    (
        "Meine Karte wurde in MÜNCHEN gesperrt: Straße 5, ẞ",
        "Karte gesperrt",
    ),
    ("我的卡被收了两次费用,请帮忙!中文 mixed English文字", "退款"),
    ("カードが使えません。ｶｰﾄﾞ", "カード"),
    ("Мой платёж не прошёл", "мой платеж"),
    ("카드 결제가 안 돼요", "카드"),
    ("بطاقتي لا تعمل", "नहीं हो रहा है"),
    ("love it 😀👍🏽❤️ 👨‍👩‍👧 <3", "😀"),
    ("@user see <url> and <user>! <USER>,<url>.", "<user>"),
    ("[MASK] [SEP]the[CLS] [UNK] [PAD] [mask]", "[SEP]"),
    (
        "zero\u{200b}width\u{200d} soft\u{ad}hyphen nbsp\u{a0}and\u{3000}wide",
        "\u{feff}order",
    ),
    ("e\u{301} o\u{308} E\u{301}cole n\u{303}", "\u{e9} \u{f6}"),
    ("İstanbul ISTANBUL ıstanbul", "Iğdır"),
    ("order#12-34 #ta tag hash#tag new tok newtok", "new tok"),
    (
        "$1,207.50 on 2024-03-05 at 10:30am (UTC+1) — \"so\" ‘it’ …",
        "1,207",
    ),
    ("ﬁnal ﬂow Ⅷ ½ ① ＡＢＣ", "final"),
    ("https://example.com/a?b=c&d=e_f#g", "a@b.com"),
    ("don't can't I'm o'clock", "it's"),
    (
        "my order was not refunded and my card was charged and nobody did help me with my order",
        "short",
    ),
    (
        "short",
        "my order was not refunded and my card was charged and nobody did help me with my order",
    ),
    (
        "my order was not refunded and my card was charged twice please help me",
        "the refund was not paid and the app said that my order was closed please help",
    ),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx order",
        "x",
    ),
    ("THE ORDER The Order the order", "Help"),
];

/// Letters, signs and words; `##` goes on with a word.
const WORDS: &str = "the order was not refund ##ed ##ing ##s paid card charge ##d twice please help my me i app closed \
    and nobody did with said that for in it love user url tag hash new tok mask sep cls pad unk short \
    The Order My I Help THE Refund Karte Café München Zürich Stra ##ße cafe zurich munchen münchen karte gesperrt wurde meine \
    resume résumé naive naïve istanbul Istanbul ##tanbul final flow ecole école \
    мой платеж платёж не прошел прошёл Мой カ ##ー ##ド カード が 使 ##えません えません 카 ##드 카드 결제 ##가 안 돼요 بطاقتي لا تعمل नहीं हो रहा है \
    我 的 卡 被 收 了 两 次 费 用 请 帮 忙 中 文 字 退 款 文字 ##文 \
    👍 🏽 ❤ 👨 é è ü ö ä ß ñ ı ğ É Ü ẞ ##é ##ü ##ö ##ß ##ı ##ğ — ‘ ’ … ½ ① Ⅷ ﬁ";

/// Ids are places in this list.
pub(super) fn vocabulary() -> Vec<String> {
    let mut words: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        .map(str::to_owned)
        .to_vec();
    let signs = (33..127u8).map(char::from);
    words.extend(signs.clone().map(String::from));
    let inner = signs.filter(char::is_ascii_alphanumeric);
    words.extend(inner.map(|letter| format!("##{letter}")));
    words.extend(WORDS.split_whitespace().map(str::to_owned));
    let mut seen = std::collections::BTreeSet::new();
    words.retain(|word| seen.insert(word.clone()));
    words
}

fn token(content: &str, more: &Value) -> Value {
    let mut token = json!({
        "content": content, "lstrip": false, "rstrip": false, "normalized": false,
        "single_word": false, "special": true,
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        token[key] = value.clone();
    }
    token
}

fn plain(content: &str) -> Value {
    token(content, &json!({"normalized": true, "special": false}))
}

/// A `tokenizer.json` as `BertTokenizerFast` saves it, with other parts in place of its own.
fn saved(more: &Value) -> String {
    let words = vocabulary();
    let ids = words.iter().enumerate();
    let vocab: serde_json::Map<String, Value> =
        ids.map(|(id, word)| (word.clone(), id.into())).collect();
    let special = words.iter().take(5).enumerate();
    let special: Vec<Value> = special
        .map(|(id, word)| token(word, &json!({"id": id})))
        .collect();
    let mut document = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": special,
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": null,
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab,
        },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        document[key] = value.clone();
    }
    document.to_string()
}

/// Every kind of tokenizer.
pub(super) fn kinds() -> Vec<Kind> {
    let size = vocabulary().len();
    let vocab = || ("vocab.txt", vocabulary().join("\n") + "\n");
    let config = |value: Value| ("tokenizer_config.json", value.to_string());
    let json = |more: Value| ("tokenizer.json", saved(&more));
    let kind = |name, files| Kind {
        name,
        pairs: false,
        files,
        class: None,
    };
    let cased = json!({"normalizer": {
        "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
        "strip_accents": null, "lowercase": false,
    }});
    let as_saved = json!({
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Whitespace"},
    });
    let decoder = || {
        let words = vocabulary();
        let special = words.iter().take(5).enumerate();
        let mut decoder: serde_json::Map<String, Value> = special
            .map(|(id, word)| (id.to_string(), token(word, &json!({}))))
            .collect();
        let more = [
            plain("<user>"),
            token("<url>", &json!({})),
            plain("😀"),
            plain("中文"),
            token(
                "#ta",
                &json!({"normalized": true, "special": false, "single_word": true}),
            ),
            plain("new tok"),
        ];
        decoder.extend(
            more.into_iter()
                .enumerate()
                .map(|(at, token)| ((size + at).to_string(), token)),
        );
        Value::Object(decoder)
    };
    vec![
        kind("vocabulary alone", vec![vocab()]),
        Kind {
            pairs: true,
            ..kind("pairs", vec![vocab()])
        },
        kind(
            "cased",
            vec![vocab(), config(json!({"do_lower_case": false}))],
        ),
        kind(
            "accents kept, Chinese in words",
            vec![
                vocab(),
                config(json!({"strip_accents": false, "tokenize_chinese_chars": false})),
            ],
        ),
        kind(
            "do_lower_case against tokenizer.json",
            vec![json(json!({})), config(json!({"do_lower_case": false}))],
        ),
        kind(
            "cased tokenizer.json without a configuration",
            vec![json(cased.clone())],
        ),
        kind(
            "added_tokens.json",
            vec![
                vocab(),
                (
                    "added_tokens.json",
                    json!({"<user>": size, "<url>": size + 1}).to_string(),
                ),
            ],
        ),
        kind(
            "added_tokens_decoder",
            vec![vocab(), config(json!({"added_tokens_decoder": decoder()}))],
        ),
        Kind {
            pairs: true,
            ..kind(
                "special_tokens_map.json",
                vec![
                    vocab(),
                    (
                        "special_tokens_map.json",
                        json!({"additional_special_tokens": ["<user>", "Café"], "sep_token": "!"})
                            .to_string(),
                    ),
                ],
            )
        },
        Kind {
            pairs: true,
            ..kind(
                "padding on the left, no longest length",
                vec![
                    json(
                        json!({"truncation": {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}}),
                    ),
                    config(
                        json!({"padding_side": "left", "model_max_length": 1e30, "tokenizer_class": "BertTokenizer"}),
                    ),
                ],
            )
        },
        kind(
            "tokenizer.json as it is",
            vec![
                json(as_saved),
                config(json!({"tokenizer_class": "PreTrainedTokenizerFast"})),
            ],
        ),
        Kind {
            class: Some("PreTrainedTokenizerFast"),
            ..kind("class in config.json", vec![json(cased)])
        },
    ]
}

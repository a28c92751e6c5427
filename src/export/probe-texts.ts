/** Texts of many kinds, on which an exported model is compared with what it was made of. */
export const PROBE_TEXTS: readonly string[] = [
  "The capital of France is Paris, and the capital of Italy is Rome.",
  "Once upon a time, there was a little girl who didn't like to share her toys.",
  "  two spaces before, three   between, and\ttabs\n\n\nand lines\r\n after ",
  "It's 12,345.67 dollars (or 2^16 = 65536), isn't it? We'll see: 3½ × ٣٤ ≈ 100%!",
  "for (let i = 0; i < n; ++i) {\n    total += a[i] * b[i]; // sum\n}",
  "Zażółć gęślą jaźń; ÅÄÖ åäö; Straße; naïve café — “quoted” … e\u0301 \u00e9",
  "Привет, мир! 你好，世界。こんにちは 안녕하세요 مرحبا שלום नमस्ते",
  "👩‍👩‍👧‍👦 🇫🇷 👍🏽 \u200b\ufeff\u0085\u00a0\u3000 ☃",
  "https://example.com/a_b?c=d&e=f#g user@example.com C:\\path\\file.txt snake_case camelCase UPPERCASE",
  "",
  " ",
  "a",
];

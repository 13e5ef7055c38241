"""axe-core in a page: what hinders who cannot see, hear or use a mouse."""

from pathlib import Path

import axe_playwright_python

SCRIPT = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
LOOK = """async (rules) => {
  const named = { "label-content-name-mismatch": { enabled: true } };
  const options = { resultTypes: ["violations"], rules: named };
  if (rules) options.runOnly = { type: "rule", values: rules };
  const { violations } = await axe.run(document, options);
  return violations.flatMap(({ id, impact, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${impact} ${id}: ${target.join(" ")}: ${failureSummary}`));
}"""


async def faults(page, rules=None):
    """Everything that axe-core finds on the page, as lines; with all its rules, or with these alone."""
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(SCRIPT)
    return await page.evaluate(LOOK, rules)

"""The page at `/`: a form of the model's columns, which asks the server for a prediction."""

import html
import json
from collections.abc import Mapping
from string import Template

from trainer.server.instances import Instances
from trainer.server.options import ServerOptions

PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Predictions</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 46rem; margin: auto; padding: 1rem; }
form { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .8rem; }
label { display: grid; overflow-wrap: anywhere; }
small { opacity: .7; }
input, button { font: inherit; padding: .35rem .5rem; min-width: 0; }
button { grid-column: 1 / -1; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .8rem; border: 1px solid; }
</style>
<h1>Predictions</h1>
<p>An empty field is a missing value. The form sends a <code>POST</code> to <code>$route</code>.</p>
<form>$fields<button>Predict</button></form>
<h2>Request</h2><pre id="request"></pre>
<h2>Response</h2><pre id="response" role="status"></pre>
<script>
const form = document.querySelector("form");
const show = (id, value) => { document.getElementById(id).textContent = JSON.stringify(value, null, 1); };
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = [...new FormData(form)].filter(([, value]) => value !== "");
  const body = { instances: [Object.fromEntries([...$nothing, ...given])] };
  show("request", body);
  const response = await fetch($address, { method: "POST", body: JSON.stringify(body) });
  show("response", await response.json());
});
form.requestSubmit();
</script>
</html>
""")


def page(instances: Instances, example: Mapping[str, str], options: ServerOptions) -> str:
    """Return the page as HTML; names and cells are escaped."""
    fields = (
        f"<label>{html.escape(name)} <small>{instances.schema.columns[name]}</small>"
        f'<input name="{html.escape(name)}" value="{html.escape(example.get(name, ""))}"></label>'
        for name in instances.columns
    )
    # A script ends at its first </script>, wherever it stands.
    nothing = json.dumps([[name, None] for name in instances.columns]).replace("<", "\\u003c")
    return PAGE.substitute(
        route=html.escape(options.predict_route),
        address=json.dumps(options.predict_route).replace("<", "\\u003c"),
        fields="".join(fields),
        nothing=nothing,
    )

"""The page of an evaluation's report, for Jinja with autoescaping on."""

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #2b3036; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; }
table { border-collapse: collapse; font-size: 12.5px; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid #e4e4e4; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.scroll { overflow-x: auto; }
img { max-width: 100%; }
pre, code { background: #f4f5f6; font-size: 12.5px; }
pre { text-align: left; padding: .5rem; overflow-x: auto; }
li.good::marker { content: "+ "; color: #009e73; font-weight: bold; }
li.bad::marker { content: "! "; color: #d55e00; font-weight: bold; }
li.open::marker { content: "? "; color: #8c8c8c; font-weight: bold; }
</style>
</head>
<body>
{% macro show(table) %}
<div class="scroll"><table>
<tr>{% for heading in table[0] %}<th>{{ heading }}</th>{% endfor %}</tr>
{% for line in table[1] %}<tr>{% for cell in line %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table></div>
{% endmacro %}
{% macro facts(values) %}
<div class="scroll"><table>
{% for name, value in values.items() %}<tr><td>{{ name }}</td><td><pre>{{ value }}</pre></td></tr>
{% endfor %}</table></div>
{% endmacro %}
<h1>{{ title }}</h1>
<h2>What the numbers support</h2>
<p>+ shown, for the policy; ! shown, against it; ? not shown by these episodes.</p>
<ul>{% for verdict in verdicts %}<li class="{{ verdict.mark }}">{{ verdict.text }}</li>
{% endfor %}</ul>
<h2>All policies on the held-out episodes</h2>
{{ show(summary) }}
<p>{{ explanation }}</p>
{% if checks_on %}
<h2>The same episodes with SUMO's checks on</h2>
<p>SUMO then prevents nearly every collision itself. Nothing is learned of a policy here; the column is for comparison
with figures that were made so.</p>
{{ show(checks_on) }}
{% endif %}
{% if comparisons %}
<h2>In pairs, on the same episodes</h2>
<p>The difference is the policy's figure less the other's, with its 95 % interval. Better, worse and equal count
episodes. A difference is shown if the interval excludes 0 and the exact test's p, adjusted for all policies that are
compared in this figure, is below 5 %. Improvement is the probability that the policy does better on an episode; more
pairs is how many more episodes would show a difference that goes on like this.</p>
{{ show(comparisons) }}
{% endif %}
{% for caption, picture in figures %}
<h2>{{ caption }}</h2>
<img alt="{{ caption }}" src="data:image/png;base64,{{ picture }}">
{% endfor %}
{% if splits %}
<h2>Held-out roads and the dataset's others</h2>
{{ show(splits) }}
{% endif %}
{% if gallery %}
<h2>The worst episodes</h2>
{% for one in gallery %}
<h3>{{ one.description }}</h3>
<p>Recorded in <code>{{ one.file }}</code>. To replay it exactly:</p>
<pre>{{ one.command }}</pre>
{{ one.player | safe }}
<img alt="{{ one.description }}" src="data:image/png;base64,{{ one.picture }}">
{% endfor %}
{% endif %}
{% if dataset %}
<h2>The dataset</h2>
{{ facts(dataset) }}
{% endif %}
<h2>Settings</h2>
{{ facts(config) }}
<h2>Where it came from</h2>
{{ facts(origin) }}
</body>
</html>
"""

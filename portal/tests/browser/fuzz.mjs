// The API against its own description: schemathesis sends what fits it and what does not, as administrator, as member and
// as nobody. No answer may be a server's error. `--short` is for continuous integration: a bounded time for each.
//   NOROSHI_SCHEMATHESIS=venv/bin/schemathesis node tests/browser/fuzz.mjs [--short]
import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { start } from './server.mjs';

const SHORT = process.argv.includes('--short');
const EXAMPLES = SHORT ? '5' : '100';
/** Seconds after which no new cases are begun, for each of the three. */
const BUDGET = SHORT ? ['--max-time', '60'] : [];
const here = dirname(fileURLToPath(import.meta.url));
const PASSWORD = 'a beacon on every hill';
const program = process.env.NOROSHI_SCHEMATHESIS ?? 'schemathesis';
const portal = await start();
let failed = false;

async function call(method, path, { cookie, csrf, body } = {}) {
  const headers = { 'content-type': 'application/json', origin: portal.base };
  if (cookie) headers.cookie = cookie;
  if (csrf) headers['x-noroshi-csrf'] = csrf;
  const answer = await fetch(`${portal.base}/api/v1/${path}`, { method, headers, body: body && JSON.stringify(body) });
  return { json: answer.status === 204 ? null : await answer.json(), cookie: answer.headers.get('set-cookie')?.split(';')[0] };
}

/** A token with every right that the account may give away. */
async function token(link, name) {
  const came = await call('POST', 'welcome', { body: { link, name, password: PASSWORD } });
  const session = { cookie: came.cookie, csrf: came.json.csrf };
  const rights = came.json.rights.filter((right) => !['anyone', 'signed-in'].includes(right));
  const made = await call('POST', 'tokens', { ...session, body: { label: 'fuzz', rights, days: 1 } });
  return { session, secret: made.json.secret };
}

try {
  const admin = await token(new URL(portal.link).hash.slice(1), 'admin');
  const invited = await call('POST', 'people', { ...admin.session, body: { name: 'member', role: 'member', organisation: 'isp', prefixes: ['192.0.2.0/24'] } });
  const member = await token(invited.json.path.split('#')[1], 'member');
  for (const [who, secret] of [['administrator', admin.secret], ['member', member.secret], ['nobody', '']]) {
    const args = ['run', `${portal.base}/api/v1/openapi.json`, '--checks', 'not_a_server_error', '--max-examples', EXAMPLES, '--phases', 'examples,coverage,fuzzing', '--request-timeout', '35', '--seed', '1', '--no-color', ...BUDGET];
    // The live feed never ends, and the sample is needed by who comes next.
    args.push('--exclude-path', '/api/v1/live', '--exclude-path', '/api/v1/sample', '--exclude-path', '/api/v1/people/{name}');
    if (secret) args.push('--header', `Authorization: Bearer ${secret}`);
    const env = { ...process.env, SCHEMATHESIS_HOOKS: 'api_serializers', PYTHONPATH: here };
    const done = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28, env });
    if (done.error) throw done.error;
    const summary = done.stdout.split('\n').filter((line) => /Test cases|operations|passed|failed|error|Server error/i.test(line)).slice(-12);
    console.log(`as ${who}: exit ${done.status}\n  ${summary.join('\n  ')}`);
    if (done.status !== 0) {
      failed = true;
      console.log(done.stdout.slice(-6000), done.stderr.slice(-2000));
    }
  }
} finally {
  portal.stop();
}
process.exit(failed ? 1 : 0);

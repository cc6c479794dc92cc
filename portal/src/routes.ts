// The whole site: which page a path shows. Pages are loaded when they are first shown.
import type { Component } from 'svelte';

type Page = Component<{ parameter: string }>;
type Loader = () => Promise<{ default: unknown }>;

const TABLE: [RegExp, Loader][] = [
  [/^\/$/, () => import('./pages/Now.svelte')],
  [/^\/explore$/, () => import('./pages/Explore.svelte')],
  [/^\/attacks$/, () => import('./pages/Attacks.svelte')],
  [/^\/attacks\/([^/]+)$/, () => import('./pages/Attack.svelte')],
  [/^\/campaigns$/, () => import('./pages/Campaigns.svelte')],
  [/^\/campaigns\/([^/]+)$/, () => import('./pages/Campaign.svelte')],
  [/^\/sensors$/, () => import('./pages/Sensors.svelte')],
  [/^\/sensors\/([^/]+)$/, () => import('./pages/Sensor.svelte')],
  [/^\/value\/(.+)$/, () => import('./pages/Value.svelte')],
  [/^\/outlook$/, () => import('./pages/Outlook.svelte')],
  [/^\/sessions$/, () => import('./pages/Sessions.svelte')],
  [/^\/sessions\/([^/]+)$/, () => import('./pages/Session.svelte')],
  [/^\/samples$/, () => import('./pages/Samples.svelte')],
  [/^\/warnings$/, () => import('./pages/Warnings.svelte')],
  [/^\/members$/, () => import('./pages/Members.svelte')],
  [/^\/audit$/, () => import('./pages/Audit.svelte')],
  [/^\/docs(?:\/(.+))?$/, () => import('./pages/Docs.svelte')],
  [/^\/people$/, () => import('./pages/People.svelte')],
  [/^\/account$/, () => import('./pages/Account.svelte')],
];

export interface Match {
  load: () => Promise<Page>;
  parameter: string;
}

export function match(path: string): Match | undefined {
  for (const [pattern, loader] of TABLE) {
    const found = pattern.exec(path);
    if (!found) continue;
    let parameter = found[1] ?? '';
    try {
      parameter = decodeURIComponent(parameter);
    } catch {
      // A lone % is taken as it stands.
    }
    return { parameter, load: async () => (await loader()).default as Page };
  }
  return undefined;
}

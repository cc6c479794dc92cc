// Every path of the portal is built here.
export const paths = {
  now: () => '/',
  tiles: () => '/?view=tiles',
  explore: (filter = '', by = 'dport', from = '-24h') => {
    const query = new URLSearchParams({ by, from });
    if (filter) query.set('filter', filter);
    return `/explore?${query}`;
  },
  attacks: () => '/attacks',
  attack: (id: string) => `/attacks/${encodeURIComponent(id)}`,
  campaigns: () => '/campaigns',
  campaign: (id: string) => `/campaigns/${encodeURIComponent(id)}`,
  sensors: () => '/sensors',
  sensor: (name: string) => `/sensors/${encodeURIComponent(name)}`,
  value: (value: string) => `/value/${encodeURIComponent(value)}`,
  outlook: () => '/outlook',
  sessions: (text = '') => (text ? `/sessions?text=${encodeURIComponent(text)}` : '/sessions'),
  sessionsOf: (source: string) => `/sessions?src=${encodeURIComponent(source)}`,
  session: (id: string) => `/sessions/${encodeURIComponent(id)}`,
  samples: () => '/samples',
  warnings: () => '/warnings',
  members: () => '/members',
  audit: () => '/audit',
  docs: (name = '') => (name ? `/docs/${name}` : '/docs'),
  people: () => '/people',
  account: () => '/account',
};

// Who is signed in, and how the page looks to them.
import { api, Refusal, useSession, whenSignedOut, type About, type Me, type Right } from '../api/client';

type Theme = 'dark' | 'light';

class Session {
  me = $state.raw<Me | undefined>(undefined);
  about = $state.raw<About | undefined>(undefined);
  state = $state<'asking' | 'out' | 'in' | 'failed'>('asking');
  theme = $state<Theme>(preferredTheme());

  constructor() {
    whenSignedOut(() => {
      this.me = undefined;
      this.state = 'out';
    });
    document.documentElement.dataset.theme = this.theme;
  }

  async ask(): Promise<void> {
    this.state = 'asking';
    const [about, me] = [api.get<About>('about'), api.get<Me>('me')];
    me.catch(() => undefined); // Looked at below; when the other fails first, nobody does.
    try {
      this.about = await about;
      this.accept(await me);
    } catch (error) {
      this.state = error instanceof Refusal && error.code === 'not-signed-in' ? 'out' : 'failed';
    }
  }

  accept(me: Me): void {
    useSession(me.csrf);
    this.me = me;
    this.state = 'in';
  }

  async leave(): Promise<void> {
    await api.post('logout');
    this.me = undefined;
    this.state = 'out';
  }

  may(right: Right): boolean {
    return this.me?.rights.includes(right) ?? false;
  }

  paint(theme: Theme): void {
    this.theme = theme;
    localStorage.setItem('theme', theme);
    document.documentElement.dataset.theme = theme;
  }
}

function preferredTheme(): Theme {
  const kept = localStorage.getItem('theme');
  if (kept === 'dark' || kept === 'light') return kept;
  return matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark';
}

export const session = new Session();

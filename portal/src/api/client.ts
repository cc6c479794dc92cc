// A thin wrapper around fetch for the hub's API, typed by its description (schema.ts is generated).
import type { components } from './schema';

export type Schemas = components['schemas'];
export type Me = Schemas['Me'];
export type About = Schemas['About'];
export type NowView = Schemas['NowView'];
export type Answer = Schemas['Answer'];
export type Attack = Schemas['AttackView'];
export type Campaign = Schemas['CampaignView'];
export type Cause = Schemas['CauseView'];
export type Sensor = Schemas['SensorView'];
export type Policy = Schemas['Policy'];
export type PolicyPreview = Schemas['PolicyPreview'];
export type Packet = Schemas['PacketView'];
export type Known = Schemas['Known'];
export type Rates = Schemas['Rates'];
export type Tick = Schemas['Tick'];
export type LivePacket = Schemas['LivePacket'];
export type FieldInfo = Schemas['FieldView'];
export type Checkup = Schemas['Checkup'];
export type Person = Schemas['PersonView'];
export type Token = Schemas['TokenView'];
export type AuditEntry = Schemas['AuditEntry'];
export type Right = Schemas['Right'];
export type Role = Schemas['Role'];
export type Enrolment = Schemas['Enrolment'];
export type PolicyRevision = Schemas['PolicyRevision'];
export type Session = Schemas['SessionView'];
export type SessionDetail = Schemas['SessionDetail'];
export type Sample = Schemas['SampleView'];
export type Surge = Schemas['SurgeView'];
export type Outlook = Schemas['OutlookView'];
export type Expected = Schemas['Expected'];
export type Warning = Schemas['WarningView'];
export type Message = Schemas['MessageView'];
export type RulePreview = Schemas['RulePreview'];
export type Member = Schemas['MemberView'];

export interface Page<T> {
  items: T[];
  total: number;
  complete: boolean;
  notes: string[];
}

/** A refusal of the hub, or of the network before it (code `offline`). */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
    readonly offset?: number,
  ) {
    super(message);
  }
}

type Params = Record<string, string | number | undefined>;

let csrf = '';
let onSignedOut: () => void = () => undefined;

/** Remembers the token that every state change repeats. */
export function useSession(token: string): void {
  csrf = token;
}

/** What happens when the hub says that nobody is signed in. */
export function whenSignedOut(act: () => void): void {
  onSignedOut = act;
}

export function url(path: string, params: Params = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== '') query.set(name, String(value));
  }
  const text = query.toString();
  return `/api/v1/${path}${text ? `?${text}` : ''}`;
}

/** A hub that is asked too much at once says when to come back; a page does so by itself, some times. */
const TRIES = 3;
const LONGEST_PAUSE_S = 5;

async function ask(path: string, request: RequestInit, tries: number): Promise<Response> {
  const response = await fetch(path, request);
  const pause = Number(response.headers.get('retry-after') ?? Infinity);
  if (tries <= 1 || request.method !== 'GET' || response.status !== 503 || !(pause <= LONGEST_PAUSE_S)) return response;
  // Not all at the same moment.
  await new Promise((next) => setTimeout(next, pause * (500 + Math.random() * 1000)));
  request.signal?.throwIfAborted();
  return ask(path, request, tries - 1);
}

async function send<T>(method: string, path: string, params?: Params, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (method !== 'GET') headers['x-noroshi-csrf'] = csrf;
  if (body !== undefined) headers['content-type'] = 'application/json';
  let response: Response;
  try {
    const request: RequestInit = { method, headers, body: body === undefined ? null : JSON.stringify(body), credentials: 'same-origin', signal: signal ?? null };
    response = await ask(url(path, params), request, TRIES);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal('offline', 'The hub does not answer.', 0);
  }
  if (response.status === 204) return undefined as T;
  const json: unknown = await response.json().catch(() => null);
  if (response.ok) return json as T;
  const problem = (json ?? {}) as Partial<Schemas['Problem']>;
  if (problem.code === 'not-signed-in') onSignedOut();
  throw new Refusal(problem.code ?? 'unavailable', problem.detail ?? response.statusText, response.status, problem.offset ?? undefined);
}

export const api = {
  get: <T>(path: string, params?: Params, signal?: AbortSignal) => send<T>('GET', path, params, undefined, signal),
  post: <T>(path: string, body: unknown = {}) => send<T>('POST', path, undefined, body),
  put: <T>(path: string, body: unknown) => send<T>('PUT', path, undefined, body),
  delete: (path: string, body?: unknown) => send<void>('DELETE', path, undefined, body),
};

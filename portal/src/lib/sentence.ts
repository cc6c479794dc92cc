// A finding in one sentence of the reader's language, from its figures. The detector's own sentence is shown as evidence.
import type { Attack } from '../api/client';
import { duration, number, t, word, type Key } from '../i18n/index.svelte';

export function attackSentence(attack: Attack): string {
  const known = ['backscatter', 'reflection', 'amplification', 'flood', 'carpet'];
  const key = (known.includes(attack.kind) ? `sentence.${attack.kind}` : 'sentence.flood') as Key;
  return t(key, {
    victim: attack.victim,
    vector: word('vector', attack.vector),
    port: attack.victim_port ? t('sentence.port', { port: attack.victim_port }) : '',
    packets: number(attack.packets),
    duration: duration(Number(attack.last) - Number(attack.first)),
    rate: number(attack.peak_pps),
  });
}

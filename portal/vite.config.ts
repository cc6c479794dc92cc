import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// The portal asks its own origin only. In development that is this server, which hands `/api` on to a running hub.
const hub = process.env.NOROSHI_HUB ?? 'http://127.0.0.1:8790';

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    // The content security policy forbids `data:` scripts and styles; small files stay files.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: { proxy: { '/api': { target: hub, changeOrigin: false } } },
});

import sharp from 'sharp';

// One thread per image: the parallelism is over images, and glibc's arenas grow with threads.
sharp.concurrency(1);
sharp.cache(false);

// Images are untrusted: only raster decoders may run, whatever the bytes pretend to be (no SVG, no PDF, no ImageMagick).
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({
  operation: ['Jpeg', 'Png', 'Webp', 'Nsgif', 'Tiff', 'Heif'].map((loader) => `VipsForeignLoad${loader}Buffer`),
});

/** sharp, set up for this process. Import it from here only. */
export { sharp };
